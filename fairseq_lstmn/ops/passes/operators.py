"""The two passes of a layer as operators of torch: autograd, compilers and functorch see no more.

An operator takes the name of its ``KERNELS`` and the tensors of ``Inputs`` or of
``SavedForBackward``, None for each that is absent. What it returns shares no memory. B batch, T
steps, P prefix slots, H hidden width.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.library import custom_op

from fairseq_lstmn.ops import cpp, triton
from fairseq_lstmn.ops.passes import step_kernels
from fairseq_lstmn.ops.passes.inputs import Inputs, Results
from fairseq_lstmn.ops.passes.recompute import Recompute
from fairseq_lstmn.ops.passes.saved import Kernels, SavedActivations, SavedForBackward
from fairseq_lstmn.ops.types import Source, Tape, mapped

# by the name of the backend: it is in programs that torch.export has saved
KERNELS: dict[str, Callable[[], Kernels]] = {
    "cpp": cpp.kernels,
    "triton": triton.kernels_in_graphs,
    "triton_eager": triton.kernels,
    "recompute": cache(partial(Recompute, step_kernels)),
}
WEIGHTS = (
    "Tensor key, Tensor summary_query, Tensor score, Tensor summary_gates, "
    "Tensor? source_query, Tensor? source_score, Tensor? source_gate"
)
OPTIONS = "SymInt memory_span, SymInt[]? rows"


@custom_op(
    "fairseq_lstmn::layer",
    mutates_args=(),
    schema=f"(str backend, Tensor query_inputs, Tensor gate_inputs, {WEIGHTS}, "
    "Tensor hidden, Tensor memory, Tensor keys, Tensor summary, Tensor source_summary, "
    "Tensor? lengths, Tensor? source_keys, Tensor? source_slots, Tensor? source_query_inputs, "
    "Tensor? source_gate_inputs, Tensor? source_mask, Tensor? distance_bias, "
    f"{OPTIONS}) -> Tensor[]",
)
def layer(backend: str, *tensors_and_options: Any) -> list[Tensor]:
    """What all steps of ``Inputs`` leave behind: the ``SavedActivations`` that are present.

    There are no gradients of queries and gates, of [h~; c~] before the first step, and of c~.
    """
    *tensors, memory_span, rows = tensors_and_options
    return forward(backend, Inputs.of(tensors, memory_span, rows)).present()


def forward(backend: str, inputs: Inputs) -> SavedActivations:
    """``Kernels.forward``, each row's numbers side by side, but the tape's."""
    rest = mapped(rows_side_by_side, inputs._replace(tape=None))  # type: ignore[arg-type]
    return KERNELS[backend]().forward(rest._replace(tape=inputs.tape))


def saved_of(tensors_and_options: Sequence[Any]) -> SavedForBackward:
    """``SavedForBackward`` of an operator's arguments, each row's numbers side by side."""
    *tensors, memory_span, rows = tensors_and_options
    saved = SavedForBackward.of_tensors(tensors, memory_span, rows)
    return cast(SavedForBackward, mapped(rows_side_by_side, saved))


def rows_side_by_side(tensor: Tensor) -> Tensor:
    """``tensor`` (B, T, H) where batch or steps stand first in memory, else a copy that does."""
    steps_first = tensor.dim() == 3 and tensor.transpose(0, 1).is_contiguous()
    return tensor if steps_first else tensor.contiguous()


@layer.register_fake
def _(backend: str, *tensors_and_options: Any) -> list[Tensor]:
    *tensors, memory_span, rows = tensors_and_options
    inputs = mapped(rows_side_by_side, Inputs.of(tensors, memory_span, rows))
    return SavedActivations.allocate(inputs).present()


@custom_op(
    "fairseq_lstmn::layer_backward",
    mutates_args=(),
    schema="(str backend, bool[] needed, "
    "Tensor? grad_hidden, Tensor? grad_memory, Tensor? grad_keys, Tensor? grad_summaries, "
    "Tensor? grad_attention, Tensor? grad_source_summaries, Tensor? grad_source_attention, "
    "Tensor slots, Tensor keys, Tensor queries, Tensor attention, Tensor gates, Tensor summaries, "
    "Tensor? source_queries, Tensor? source_attention, Tensor? source_summaries, "
    f"Tensor? fusion_gates, {WEIGHTS}, Tensor? source_keys, Tensor? source_slots, "
    f"Tensor? distance_bias, {OPTIONS}) -> Tensor[]",
)
def layer_backward(backend: str, needed: list[bool], *tensors_and_options: Any) -> list[Tensor]:
    """The gradients of those of the ``Inputs``' tensors that are ``needed``."""
    grad_results, saved = Results(*tensors_and_options[:7]), saved_of(tensors_and_options[7:])
    with torch.autocast(saved.weights.key.device.type, enabled=False):
        gradients = KERNELS[backend]().backward(saved, grad_results)
    return only(needed, gradients)


def only(needed: Sequence[bool], gradients: Inputs) -> list[Tensor]:
    return [cast(Tensor, part) for part, is_it in zip(gradients.tensors(), needed) if is_it]


@layer_backward.register_fake
def _(backend: str, needed: list[bool], *tensors_and_options: Any) -> list[Tensor]:
    saved = saved_of(tensors_and_options[7:])
    activations = saved.activations
    batch, steps, width = activations.queries.shape
    slots = activations.keys.new_empty(batch, activations.keys.size(1) - steps, width)
    summary = activations.keys.new_empty(batch, width)
    source = None
    if saved.source_keys is not None:
        source = Source(
            *(saved.source_keys, saved.source_slots.new_empty(saved.source_slots.shape)),
            *(activations.source_queries, activations.fusion_gates),
        )
    gradients = Inputs(
        *(activations.queries, activations.gates, saved.weights),
        Tape(slots, slots, slots, summary, summary),
        *(source, saved.memory_span, saved.distance_bias),
    )
    return [torch.empty_like(part) for part in only(needed, gradients)]
