"""A layer by its operators, with what autograd and functorch need: gradients, once, and ``vmap``.

H hidden width; shapes are those of ``Inputs``, ``SavedActivations`` and ``Results``.
"""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.autograd import forward_ad

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops.cache import Cache
from fairseq_lstmn.ops.passes import operators
from fairseq_lstmn.ops.passes.inputs import Inputs, Results
from fairseq_lstmn.ops.passes.saved import SavedActivations, SavedForBackward

LIBRARY = torch.library.Library("fairseq_lstmn", "FRAGMENT")
NOT_DIFFERENTIABLE = ("queries", "gates", "source_queries", "fusion_gates")  # inside of a layer


def layer(backend: str, inputs: Inputs) -> Results:
    """See ``reference.layer``; by the ``KERNELS`` of ``backend``.

    A tape that has a cache grows there, unless a compiler or functorch looks on.
    """
    if is_inference():
        activations = operators.forward(backend, inputs)
    else:
        if inputs.source is not None:
            inputs = inputs._replace(source=inputs.source.for_each(len(inputs.query_inputs)))
        arguments = backend, *inputs.tensors(), inputs.memory_span, inputs.rows
        if torch.compiler.is_compiling():
            activations = SavedActivations(*operators.layer(*arguments))
        else:
            cache = None if is_transformed() else inputs.cache
            activations = SavedActivations(*Layer.apply(cache, *arguments))
    results = activations.results(inputs.query_inputs.size(2))
    if inputs.source is None:
        assert inputs.tape.source_summary is not None
        summary = inputs.tape.source_summary.unsqueeze(1)
        results = results._replace(source_summaries=summary.expand_as(results.summaries))
    return results


def is_inference() -> bool:
    """Whether nobody looks on, neither autograd nor a compiler nor functorch."""
    return not (torch.is_grad_enabled() or torch.compiler.is_compiling() or is_transformed())


def is_transformed() -> bool:
    """Whether functorch or forward-mode differentiation is at work."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def save(ctx: Any, inputs: tuple[Any, ...], output: Sequence[Tensor]) -> None:
    """Save what ``layer_backward`` needs of ``layer``."""
    ctx.backend, *tensors, ctx.memory_span, ctx.rows = inputs
    activations = SavedActivations(*output)
    saved = SavedForBackward.of(Inputs.of(tensors, ctx.memory_span, ctx.rows), activations)
    ctx.save_for_backward(*saved.tensors())
    inside = [getattr(activations, name) for name in NOT_DIFFERENTIABLE]
    ctx.mark_non_differentiable(*[part for part in inside if part is not None])
    ctx.set_materialize_grads(False)


def differentiate(ctx: Any, gradients: Sequence[Tensor | None]) -> tuple[Any, ...]:
    """The gradients of ``layer``'s arguments, from those of what it returns."""
    needed = ctx.needs_input_grad[1:-2]
    return None, *of_tensors(ctx, gradients, needed, operators.layer_backward), None, None


def of_tensors(
    ctx: Any,
    gradients: Sequence[Tensor | None],
    needed: Sequence[bool],
    run: Callable[..., Sequence[Tensor]],
) -> list[Tensor | None]:
    """The gradients of ``layer``'s tensors, None where none is needed, by ``layer_backward``."""
    saved = ctx.saved_tensors
    keys = saved[SavedActivations._fields.index("keys")]
    grads: Any = gradients
    grad_results = SavedActivations(*grads).results(width=keys.size(2))
    arguments = list(needed), *grad_results, *saved, ctx.memory_span, ctx.rows
    computed = iter(run(ctx.backend, *arguments))
    return [next(computed) if is_it else None for is_it in needed]


def refuse(ctx: Any, *gradients: Any) -> NoReturn:
    raise InputError("second derivatives of the recurrence: only backend='reference' has them")


class Layer(torch.autograd.Function):
    """``layer`` in eager mode: sooner called than an operator's own derivative, and functorch's.

    With a ``Cache`` the slots are written there, and the backward pass reads them there: neither
    they nor those before them may change any more.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(cache: Cache | None, *arguments: Any) -> tuple[Tensor, ...]:
        if cache is None:
            return tuple(operators.layer(*arguments))
        backend, *tensors, memory_span, rows = arguments
        inputs = Inputs.of(tensors, memory_span, rows)._replace(cache=cache)
        return tuple(operators.forward(backend, inputs).present())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Sequence[Tensor]) -> None:
        save(ctx, inputs[1:], output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        needed = ctx.needs_input_grad[2:-2]
        return None, None, *of_tensors(ctx, gradients, needed, LayerBackward.apply), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> NoReturn:
        raise InputError("forward-mode derivatives: only backend='reference' has them")


class LayerBackward(torch.autograd.Function):
    """``layer_backward`` in eager mode."""

    generate_vmap_rule = True

    @staticmethod
    def forward(*arguments: Any) -> tuple[Tensor, ...]:
        return tuple(operators.layer_backward(*arguments))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Sequence[Tensor]) -> None:
        """Nothing is saved."""

    backward = jvp = staticmethod(refuse)


def one_by_one(operator: Callable[..., list[Tensor]]) -> Callable[..., Any]:
    """How ``vmap`` runs an operator: once for each of the batch."""

    def run(info: Any, dims: Any, *arguments: Any) -> tuple[list[Tensor], list[int]]:
        rows = [
            operator(
                *(
                    argument.select(dim, b) if isinstance(dim, int) else argument
                    for argument, dim in zip(arguments, dims)
                )
            )
            for b in range(info.batch_size)
        ]
        results = [torch.stack(parts) for parts in zip(*rows)]
        return results, [0] * len(results)

    return run


def refuse_batched_gradients(*arguments: Any) -> NoReturn:
    raise InputError("gradients in batches: torch.func.vmap, or backend='reference', has them")


operators.layer.register_autograd(differentiate, setup_context=save)
operators.layer_backward.register_autograd(refuse)
for operator in (operators.layer, operators.layer_backward):
    operator.register_vmap(one_by_one(operator))
LIBRARY.impl("layer_backward", refuse_batched_gradients, "Batched")  # is_grads_batched
