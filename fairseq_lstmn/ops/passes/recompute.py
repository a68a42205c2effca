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
from fairseq_lstmn.ops.types import Source, Tape, Weights


class Recompute:
    """``Kernels`` (see ``saved``) of ``step_kernels`` or their like."""

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
        kernels = self.step_kernels.of_a_pass(query_inputs)
        from_summary, to_key = of_summaries(weights, steps), transposed(weights.key, steps)
        products = query_inputs.new_empty(batch, from_summary.size(1))
        saved = SavedForBackward.of(inputs, activations)
        bias, fuse = biases(inputs), fusion(kernels, saved)
        blocked = blocked_in_tape(tape, steps), blocked_in_source(source, batch)
        by_row = activations, products, *blocked
        # each step adds its own part
        activations.gates.copy_(gate_inputs)
        activations.queries.copy_(query_inputs)
        activations.queries[:, 0].addmm_(tape.summary, weights.summary_query.T)
        for span, count in segments(inputs.rows, batch, steps):
            of_rows, products, tape_blocked, source_blocked = first(count, by_row)
            for part in (activations.slots, activations.keys):
                part[count:, prefix + span.start :] = 0
            for t in span:
                slot = prefix + t
                attended = window(slot, memory_span)
                summary = of_rows.summaries[:, t + 1]
                kernels.attend(
                    *(of_rows.keys, of_rows.slots, of_rows.queries[:, t], weights.score),
                    *(bias, tape_blocked, of_rows.attention[:, t], summary),
                    *(attended.start, attended.stop),
                )  # (4)-(6)
                hidden, memory = summary[:, :width], summary[:, width:]
                torch.mm(hidden, from_summary, out=products)
                gates, query, fused = of_rows.gates[:, t], None, None
                if t + 1 < steps:
                    query = of_rows.queries[:, t + 1]
                if fuse is not None:
                    fused = fuse.forward(of_rows, t, gates, source_blocked)  # (12)-(14)
                new = of_rows.slots[:, slot]
                kernels.cell(products, gates, query, memory, fused, new)  # (7)-(9)
                torch.mm(new[:, :width], to_key, out=of_rows.keys[:, slot])
        return activations

    def backward(self, saved: SavedForBackward, grad_results: Results) -> Inputs:
        """All steps from last to first."""
        kernels = self.step_kernels.of_a_pass(saved.activations.queries)
        return Backward(kernels, saved, grad_results).inputs()


def zero_where_no_step_writes(activations: SavedActivations) -> None:
    """Attention out of sight, and summaries of padded steps."""
    for weights in (activations.attention, activations.source_attention):
        if weights is not None:
            weights[:, :1].zero_() if weights.stride(1) == 0 else weights.zero_()
    for summaries in (activations.summaries, activations.source_summaries):
        if summaries is not None:
            summaries[:, 1:].zero_()


def of_summaries(weights: Weights, steps: int) -> Tensor:
    """(H, 5H): what h~_t is multiplied by for the gates and the next query; (H, 4H) in one step."""
    if steps == 1:
        return weights.summary_gates.T
    return torch.cat([weights.summary_gates, weights.summary_query]).T.contiguous()


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
