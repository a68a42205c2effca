"""What autograd and functorch make of a layer's operators: gradients, once, and ``vmap``.

H hidden width; shapes are those of ``Inputs``, ``Trace`` and ``Results``.
"""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.autograd import forward_ad

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops.passes.fields import complete, flat, nested
from fairseq_lstmn.ops.passes.operators import (
    INSIDE,
    LIBRARY,
    MADE,
    Kept,
    arithmetic_of,
    forward_in_place,
    layer,
    layer_backward,
    made_of,
)
from fairseq_lstmn.ops.passes.trace import Trace
from fairseq_lstmn.ops.room import Room
from fairseq_lstmn.ops.types import Inputs, Results


def differentiable(name: str, inputs: Inputs) -> Results:
    """See ``reference.layer``; ``name`` is that of the arithmetic."""
    tensors = flat(inputs)
    given = name, " ".join(tensors), list(tensors.values()), inputs.memory_span, inputs.rows
    if torch.compiler.is_compiling():
        made = layer(*given)
    else:
        made = Layer.run(*given, room=None if is_transformed() else inputs.room)
    return Trace(**dict(zip(MADE, made))).made()


def is_transformed() -> bool:
    """Whether functorch or forward-mode differentiation is at work."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def keep(ctx: Any, inputs: tuple[Any, ...], output: Sequence[Tensor]) -> None:
    """Keep what ``layer_backward`` needs of ``layer``."""
    ctx.arithmetic, ctx.names, tensors, ctx.memory_span, ctx.rows = inputs
    given = nested(Inputs, ctx.names, tensors)
    made = dict(zip(MADE, output))
    if given.source is not None:
        made.update(source_slots=given.source.slots, source_keys=given.source.keys)
    kept = flat(Kept(Trace(**made), given.weights, given.distance_bias))
    ctx.kept = " ".join(kept)
    ctx.save_for_backward(*kept.values())
    ctx.mark_non_differentiable(*[made[name] for name in INSIDE if name in made])
    ctx.set_materialize_grads(False)


def differentiate(ctx: Any, gradients: Sequence[Tensor | None]) -> tuple[Any, ...]:
    """The gradients of ``layer``'s arguments, given those of its results."""
    tensors = of_tensors(ctx, gradients, ctx.needs_input_grad[2], layer_backward)
    return None, None, tensors, None, None


def of_tensors(
    ctx: Any,
    gradients: Sequence[Tensor | None],
    is_needed: Sequence[bool],
    run: Callable[..., Sequence[Tensor]],
) -> list[Tensor | None]:
    """The gradients of ``layer``'s tensors, None where none is needed, by ``layer_backward``."""
    kept = nested(Kept, ctx.kept, ctx.saved_tensors)
    wanted = of_steps(complete(Trace, dict(zip(MADE, gradients))), kept.trace.keys.size(2))
    tensors = flat(kept._replace(gradients=wanted))
    names = ctx.names.split()
    needed = [name for name, is_it in zip(names, is_needed) if is_it]
    if "tape.source_summary" in needed and kept.trace.fusion_gates is None:
        needed.remove("tape.source_summary")  # which deep fusion alone reads
    found = run(
        *(ctx.arithmetic, " ".join(needed), " ".join(tensors), list(tensors.values())),
        *(ctx.memory_span, ctx.rows),
    )
    of_name = dict(zip(needed, found))
    return [of_name.get(name) for name in names]


def of_steps(gradients: Any, width: int) -> Results:
    """The gradients of the fields of ``Results``, given those of a ``Trace``'s."""

    def summary(part: Any) -> Any:
        return None if part is None else part[:, 1:, :width]

    hidden: Any = None  # like every other of which nothing is wanted
    memory: Any = None
    if gradients.slots is not None:
        hidden, memory = gradients.slots.split(width, dim=2)
    return Results(
        hidden=hidden,
        memory=memory,
        keys=gradients.keys,
        summaries=summary(gradients.summaries),
        attention=gradients.attention,
        source_summaries=summary(gradients.source_summaries),
        source_attention=gradients.source_attention,
    )


def refuse(ctx: Any, *gradients: Any) -> NoReturn:
    raise InputError("second derivatives of the recurrence: only backend='reference' has them")


class Layer(torch.autograd.Function):
    """``layer`` in eager mode: sooner called than an operator's own derivative, and functorch's.

    With a ``Room`` the slots are written there, and the backward pass reads them there: neither
    they nor those before them may change any more.
    """

    generate_vmap_rule = True

    @classmethod
    def run(
        cls,
        arithmetic: str,
        names: str,
        tensors: list[Tensor],
        memory_span: int,
        rows: list[int] | None,
        room: Room | None,
    ) -> tuple[Tensor, ...]:
        made: tuple[Tensor, ...] = cls.apply(arithmetic, names, memory_span, rows, room, *tensors)
        return made

    @staticmethod
    def forward(
        arithmetic: str,
        names: str,
        memory_span: int,
        rows: list[int] | None,
        room: Room | None,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        if room is None:
            return tuple(layer(arithmetic, names, list(tensors), memory_span, rows))
        inputs = nested(Inputs, names, tensors)
        inputs = inputs._replace(memory_span=memory_span, rows=rows, room=room)
        return tuple(made_of(forward_in_place(arithmetic_of(arithmetic).kernels, inputs)))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Sequence[Tensor]) -> None:
        arithmetic, names, memory_span, rows, _, *tensors = inputs
        keep(ctx, (arithmetic, names, tensors, memory_span, rows), output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        return *[None] * 5, *of_tensors(ctx, gradients, ctx.needs_input_grad[5:], LayerBackward.run)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> NoReturn:
        raise InputError("forward-mode derivatives: only backend='reference' has them")


class LayerBackward(torch.autograd.Function):
    """``layer_backward`` in eager mode."""

    generate_vmap_rule = True

    @classmethod
    def run(
        cls, arithmetic: str, needed: str, names: str, tensors: list[Tensor], *options: Any
    ) -> tuple[Tensor, ...]:
        made: tuple[Tensor, ...] = cls.apply(arithmetic, needed, names, *options, *tensors)
        return made

    @staticmethod
    def forward(
        arithmetic: str,
        needed: str,
        names: str,
        memory_span: int,
        rows: list[int] | None,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        return tuple(layer_backward(arithmetic, needed, names, list(tensors), memory_span, rows))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Sequence[Tensor]) -> None:
        """Nothing is kept."""

    backward = jvp = staticmethod(refuse)


def one_by_one(operator: Callable[..., list[Tensor]]) -> Callable[..., Any]:
    """How ``vmap`` runs an operator: once for each of the batch."""

    def run(info: Any, dims: Any, *arguments: Any) -> tuple[list[Tensor], list[int]]:
        rows = [
            operator(*(taken(*of, b) for of in zip(arguments, dims)))
            for b in range(info.batch_size)
        ]
        results = [torch.stack(parts) for parts in zip(*rows)]
        return results, [0] * len(results)

    return run


def taken(argument: Any, dim: Any, b: int) -> Any:
    """Number ``b`` of the batch of an operator's argument, batched along ``dim``."""
    if isinstance(argument, list) and isinstance(dim, list):
        return [taken(*of, b) for of in zip(argument, dim)]
    return argument if dim is None else argument.select(dim, b)


def refuse_batched_gradients(*arguments: Any) -> NoReturn:
    raise InputError("gradients in batches: torch.func.vmap, or backend='reference', has them")


layer.register_autograd(differentiate, setup_context=keep)
layer_backward.register_autograd(refuse)
for operator in (layer, layer_backward):
    operator.register_vmap(one_by_one(operator))
LIBRARY.impl("layer_backward", refuse_batched_gradients, "Batched")  # is_grads_batched
