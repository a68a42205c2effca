"""Both passes of a layer with linear memory, step by step over four step kernels.

B batch, T steps, P prefix slots, S source length, G sentences, H hidden width. Of the attention
only the weights are saved, and the tanh is recomputed, so that memory grows as B T H + B T^2 where
plain autograd saves B T^2 H. `reference` is the version to read first.
"""

from typing import Any

import torch
from torch import Tensor

from fairseq_lstmn.ops.padding import empty_slots
from fairseq_lstmn.ops.passes.backward import Backward
from fairseq_lstmn.ops.passes.fusion import fusion
from fairseq_lstmn.ops.passes.inputs import Inputs, Results, memory_for_attention
from fairseq_lstmn.ops.passes.saved import (
    SavedActivations,
    SavedForBackward,
    first,
    relative_distance_index,
    segments,
    window,
)
from fairseq_lstmn.ops.types import Source, Tape


class Recompute:
    """``Kernels`` (see ``saved``) of what has the four functions of ``step_kernels``."""

    def __init__(self, step_kernels: Any) -> None:
        self.step_kernels = step_kernels

    def forward(self, inputs: Inputs) -> SavedActivations:
        """All steps, in the order of the equations."""
        query_inputs, gate_inputs, weights, tape, source, memory_span, *_ = inputs
        assert tape.summary is not None
        with memory_for_attention(inputs):
            activations = SavedActivations.allocate(inputs)
            zero_where_no_step_writes(activations)
        batch, steps, width = query_inputs.shape
        prefix = tape.hidden.size(1)
        to_query, to_gates, to_key = (
            transposed(part, steps)
            for part in (weights.summary_query, weights.summary_gates, weights.key)
        )
        saved = SavedForBackward.of(inputs, activations)
        bias, fuse = biases(inputs), fusion(self.step_kernels, saved)
        blocked = blocked_in_tape(tape, steps), blocked_in_source(source, batch)
        by_row = activations, query_inputs, gate_inputs, *blocked
        torch.addmm(query_inputs[:, 0], tape.summary, to_query, out=activations.queries[:, 0])
        for span, count in segments(inputs.rows, batch, steps):
            of_rows, queries, gates_of, tape_blocked, source_blocked = first(count, by_row)
            for part in (activations.slots, activations.keys):
                part[count:, prefix + span.start :] = 0
            for t in span:
                slot = prefix + t
                attended = window(slot, memory_span)
                summary = of_rows.summaries[:, t + 1]
                self.step_kernels.attend(
                    *(of_rows.keys, of_rows.slots, of_rows.queries[:, t], weights.score),
                    *(bias, tape_blocked, of_rows.attention[:, t], summary),
                    *(attended.start, attended.stop),
                )  # (4)-(6)
                hidden, memory = summary[:, :width], summary[:, width:]
                if t + 1 < steps:
                    torch.addmm(queries[:, t + 1], hidden, to_query, out=of_rows.queries[:, t + 1])
                gates = of_rows.gates[:, t]
                torch.addmm(gates_of[:, t], hidden, to_gates, out=gates)  # (7)
                fused = None
                if fuse is not None:
                    fused = fuse.forward(of_rows, t, gates, source_blocked)  # (12)-(14)
                self.step_kernels.cell(gates, memory, fused, of_rows.slots[:, slot])  # (8)-(9)
                torch.mm(of_rows.slots[:, slot, :width], to_key, out=of_rows.keys[:, slot])
        return activations

    def backward(self, saved: SavedForBackward, grad_results: Results) -> Inputs:
        """All steps from last to first."""
        return Backward(self.step_kernels, saved, grad_results).inputs()


def zero_where_no_step_writes(activations: SavedActivations) -> None:
    """Attention out of sight, and summaries of padded steps."""
    for weights in (activations.attention, activations.source_attention):
        if weights is not None:
            weights[:, :1].zero_() if weights.stride(1) == 0 else weights.zero_()
    for summaries in (activations.summaries, activations.source_summaries):
        if summaries is not None:
            summaries[:, 1:].zero_()


def transposed(weight: Tensor, steps: int) -> Tensor:
    """``weight`` (O, I) as products (B, I) @ (I, O) read it fastest, if steps repay a copy."""
    return weight.T.contiguous() if steps > 1 else weight.T


def biases(inputs: Inputs) -> Tensor | None:
    """(P + T,), the last for distance 1; None without."""
    if inputs.distance_bias is None:
        return None
    slots = inputs.tape.hidden.size(1) + inputs.query_inputs.size(1)
    return inputs.distance_bias[relative_distance_index(inputs.distance_bias, slots)]


def blocked_in_tape(tape: Tape, steps: int) -> Tensor | None:
    """(B, P + T), True at the prefix slots that are not valid; None when all are."""
    if tape.lengths is None:
        return None
    return empty_slots(tape.lengths + steps, tape.hidden.size(1) + steps)


def blocked_in_source(source: Source | None, batch: int) -> Tensor | None:
    """(B, S), True at the source's slots that may not be attended; None without a source."""
    if source is None:
        return None
    assert source.mask is not None
    return ~source.mask.repeat_interleave(batch // max(1, len(source.mask)), dim=0)
