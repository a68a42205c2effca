"""The backward pass: steps from last to first, weights in one product at the end.

B batch, T steps, P prefix slots, S source length, H hidden width. ``d_x`` is the gradient of x.

    d_slots    [ prefix | slot 1 | ... | slot T ]      (B, P + T, 2H)
    d_sums              [ step 1 | ... | step T ]      (B, T, 2H), the same memory

A slot's gradient is done with when its step is taken back; in its place comes the gradient of the
sums that this step has read, from which earlier slots' gradients follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fairseq_lstmn.ops.passes.fusion import fusion
from fairseq_lstmn.ops.passes.trace import (
    OfSource,
    Trace,
    far_to_near,
    first,
    segments,
    window,
)
from fairseq_lstmn.ops.types import Inputs, Results, Source, Tape, Weights

TOGETHER = 16  # steps whose gradients of earlier slots are summed in one product


class Gradients(NamedTuple):
    """Of what stands in a ``Trace``; those of keys and queries lack the factor v until the end."""

    slots: Tensor  # (B, P + T, 2H)
    keys: Tensor  # (B, P + T, H)
    queries: Tensor  # (B, T, H)
    score: Tensor  # (B, H)
    gates: Tensor  # (B, T, 4H)
    source_keys: OfSource = None  # (B, S, H)
    source_queries: OfSource = None  # (B, T, H)
    source_score: OfSource = None  # (B, H)
    source_sums: OfSource = None  # (B, T, 2H); shallow fusion: (B, T, H)
    fusion_gates: OfSource = None  # (B, T, H)

    @staticmethod
    def start(trace: Trace, given: Results) -> Gradients:
        """Before the last step is taken back: zeros, and what the outputs want of slots."""
        slots = torch.empty_like(trace.slots)
        for part, wanted in zip(slots.chunk(2, dim=2), (given.hidden, given.memory)):
            part.zero_() if wanted is None else part.copy_(wanted)
        keys, queries, gates = map(torch.zeros_like, (trace.keys, trace.queries, trace.gates))
        found = Gradients(slots, keys, queries, torch.zeros_like(queries[:, 0]), gates)
        if trace.source_slots is None:
            return found
        return found._replace(
            source_keys=torch.zeros_like(trace.source_keys),
            source_queries=torch.zeros_like(queries),
            source_score=torch.zeros_like(queries[:, 0]),
            source_sums=torch.zeros_like(trace.source_summaries[:, 1:]),
            fusion_gates=trace.fusion_gates
            if trace.fusion_gates is None
            else torch.zeros_like(trace.fusion_gates),
        )


def backward(
    kernels: Any,
    trace: Trace,
    weights: Weights,
    memory_span: int,
    distance_bias: Tensor | None,
    rows: Sequence[int] | None,
    given: Results,
) -> Inputs:
    """The ``Inputs`` of gradients, given the ``Results`` of gradients, None where there is none.

    ``kernels`` have ``read_backward`` and ``cell_backward`` (see ``step_kernels``).
    """
    return Backward(kernels, trace, weights, memory_span, distance_bias, given).inputs(rows)


class Backward:
    """The gradients while steps are taken back; ``trace``, ``given`` and ``d`` of rows at work."""

    def __init__(
        self,
        kernels: Any,
        trace: Trace,
        weights: Weights,
        memory_span: int,
        distance_bias: Tensor | None,
        given: Results,
    ) -> None:
        self.kernels, self.weights = kernels, weights
        self.memory_span, self.distance_bias = memory_span, distance_bias
        self.batch, self.steps, self.width = trace.queries.shape
        self.prefix = trace.keys.size(1) - self.steps
        self.summed = self.steps  # d.slots has what these and later steps want of earlier slots
        self.trace, self.given, self.d = trace, given, Gradients.start(trace, given)
        self.fuse = fusion(kernels, weights, trace)
        self.d_bias: Tensor | None = None  # (P + T,)
        if distance_bias is not None:
            self.d_bias = distance_bias.new_zeros(trace.keys.size(1))

    def inputs(self, rows: Sequence[int] | None) -> Inputs:
        """Take all steps back; ``rows`` as in ``Inputs``."""
        whole = self.trace, self.given, self.d
        for span, count in reversed(segments(rows, self.batch, self.steps)):
            self.trace, self.given, self.d = first(count, whole)
            for t in reversed(span):
                self.step(t)
        self.trace, self.given, self.d = whole
        return Inputs(
            query_inputs=self.d.queries,
            gate_inputs=self.d.gates,
            weights=self.d_weights(),
            tape=self.d_tape(),
            source=self.d_source(),
            memory_span=0,  # which has no gradient
            distance_bias=self.d_distance_bias(),
        )

    def step(self, t: int) -> None:
        """Take step t back, when all later ones have been."""
        slot = self.prefix + t
        d_gates, d_slot = self.d.gates[:, t], self.d_slot(t)
        self.kernels.cell_backward(
            self.trace.gates[:, t],
            self.trace.summaries[:, t + 1, self.width :],
            self.trace.slots[:, slot],
            d_slot,
            d_gates,
        )
        d_cell = d_summary = d_slot[:, : self.width]  # the one, then in its place the other
        to_summary = None
        if self.fuse is not None:
            to_summary = self.fuse.backward(self.trace, self.d, self.given, t, d_cell)
        torch.mm(d_gates, self.weights.summary_gates, out=d_summary)  # (7)
        if to_summary is not None:
            d_summary += to_summary
        if t + 1 < self.steps:  # the next step's query
            d_summary.addmm_(self.d.queries[:, t + 1], self.weights.summary_query)
        if self.given.summaries is not None:
            d_summary += self.given.summaries[:, t]
        self.read_backward(t)

    def d_slot(self, t: int) -> Tensor:
        """What the outputs, later reads and the slot's key want of [h_t; c_t], (B, 2H)."""
        slot = self.prefix + t
        if self.summed - (t + 1) >= TOGETHER:
            self.sum_reads(t + 1)
        d_slot = self.d.slots[:, slot]
        if t + 1 < self.summed:
            d_slot += self.wanted(slice(slot, slot + 1), slice(t + 1, self.summed)).squeeze(1)
        d_key = self.d.keys[:, slot].mul_(self.weights.score)
        if self.given.keys is not None:
            d_key += self.given.keys[:, slot]
        d_slot[:, : self.width].addmm_(d_key, self.weights.key)
        return d_slot

    def sum_reads(self, start: int) -> None:
        """Add to ``d.slots`` what the reads from step ``start`` on want of the slots before it."""
        seen = window(self.prefix + start, self.memory_span)
        self.d.slots[:, seen] += self.wanted(seen, slice(start, self.summed))
        self.summed = start

    def wanted(self, slots: slice, steps: slice) -> Tensor:
        """What the reads of ``steps`` want of ``slots``, both slices: (B, n, 2H)."""
        d_sums = self.d.slots[:, self.prefix :]
        return wanted(self.trace.attention, d_sums, slots, steps)

    def read_backward(self, t: int) -> None:
        """Take the read of the own tape at step t back."""
        seen, given = window(self.prefix + t, self.memory_span), self.given.attention
        d_scores = self.kernels.read_backward(
            self.trace.keys,
            self.trace.slots,
            self.trace.queries[:, t],
            self.weights.score,
            self.trace.attention[:, t],
            self.d.slots[:, self.prefix + t],
            None if given is None else given[:, t].contiguous(),
            self.d.score,
            self.d.queries[:, t],
            self.d.keys,
            seen.start,
            seen.stop,
        )
        if self.d_bias is not None:
            self.d_bias[len(self.d_bias) - d_scores.size(1) :] += d_scores.sum(dim=0)

    def d_distance_bias(self) -> Tensor | None:
        if self.distance_bias is None or self.d_bias is None:
            return None
        index = far_to_near(self.distance_bias, len(self.d_bias))
        return torch.zeros_like(self.distance_bias).index_add_(0, index, self.d_bias)

    def d_weights(self) -> Weights:
        """Each weight's gradient in one product over all steps."""
        summaries = self.trace.summaries[..., : self.width]
        states = self.trace.slots[:, self.prefix :, : self.width]
        own = dict(
            key=product(self.d.keys[:, self.prefix :], states),
            summary_query=product(self.d.queries, summaries[:, :-1]),
            score=self.d.score.sum(dim=0),
            summary_gates=product(self.d.gates, summaries[:, 1:]),
        )
        if self.fuse is None:
            return Weights(**own)
        d_query = None
        if self.weights.source_query is not None:
            d_query = product(self.d.source_queries, self.fuse.followed(self.trace))
        contexts = self.trace.source_summaries[:, 1:, : self.width]
        return Weights(
            **own,
            source_query=d_query,
            source_score=self.d.source_score.sum(dim=0),
            source_gate=product(self.fuse.gated(self.d), contexts),
        )

    def d_tape(self) -> Tape:
        """What reads and the outputs, on which the prefix stands too, want of the prefix."""
        before = slice(self.prefix)
        self.sum_reads(0)
        d_keys = self.d.keys[:, before] * self.weights.score
        if self.given.keys is not None:
            d_keys += self.given.keys[:, before]
        d_hidden, d_memory = self.d.slots[:, before].split(self.width, dim=2)
        return Tape(
            *(d_hidden, d_memory, d_keys),
            self.d.queries[:, 0] @ self.weights.summary_query,
            None if self.fuse is None else self.fuse.d_source_summary(self.d),
        )

    def d_source(self) -> Source | None:
        if self.fuse is None:
            return None
        everything = slice(None)
        return Source(
            keys=self.d.source_keys * self.weights.source_score,
            slots=wanted(self.trace.source_attention, self.d.source_sums, everything, everything),
            query_inputs=self.d.source_queries,
            gate_inputs=self.d.fusion_gates,
        )


def wanted(attention: Tensor, d_sums: Tensor, slots: slice, steps: slice) -> Tensor:
    """What the reads of ``steps`` with ``attention`` (B, T, n) want of ``slots``, both slices.

    From the gradients of their sums (B, T, V): (B, n', V).
    """
    weights = attention[:, steps, slots].transpose(1, 2).contiguous()
    return torch.bmm(weights, d_sums[:, steps])


def product(d_outputs: Tensor, inputs: Tensor) -> Tensor:
    """The gradient (O, I) of a weight from those of its outputs (B, T, O) and its inputs."""
    if d_outputs.stride(1) > d_outputs.stride(0):  # flatten copies nothing in the memory's order
        d_outputs, inputs = d_outputs.transpose(0, 1), inputs.transpose(0, 1)
    return d_outputs.flatten(0, 1).T @ inputs.flatten(0, 1)
