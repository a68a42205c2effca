"""The backward pass of `recompute`: steps from last to first, weights in one product at the end.

B batch, T steps, P prefix slots, S source length, H hidden width. ``d_x`` is the gradient of x.
"""

from copy import copy

import torch

from fairseq_lstmn.ops.recompute_steps import far_to_near, readers, window
from fairseq_lstmn.ops.types import Inputs, Source, Tape, Weights, mapped

sigmoid_backward = torch.ops.aten.sigmoid_backward
TOGETHER = 16  # steps whose gradients of earlier slots are summed in one product


def backward(arithmetic, trace, weights, memory_span, distance_bias, rows, gradients):
    """The ``Inputs`` of gradients, given the ``Steps`` of gradients, None where there is none."""
    steps = at_work = Backward(arithmetic, trace, weights, memory_span, distance_bias, gradients)
    for t in reversed(range(trace.queries.size(1))):
        if rows is not None and rows[t] != len(at_work.d_slots):
            at_work = steps.first(rows[t], at_work.summed)
        at_work.step(t)
    steps.summed = at_work.summed
    return Inputs(
        query_inputs=steps.own.d_queries,
        gate_inputs=steps.d_gates,
        weights=steps.d_weights(),
        tape=steps.d_tape(),
        source=steps.d_source(),
        memory_span=None,
        distance_bias=steps.d_distance_bias(),
    )


class Backward:
    """The gradients while steps are taken back."""

    def __init__(self, arithmetic, trace, weights, memory_span, distance_bias, gradients):
        self.cell_backward = arithmetic.cell_backward
        self.trace, self.weights, self.gradients = trace, weights, gradients
        self.memory_span, self.distance_bias = memory_span, distance_bias
        self.steps, self.width = trace.queries.shape[1:]
        self.prefix = trace.keys.size(1) - self.steps
        self.d_gates = torch.zeros_like(trace.gates)
        self.d_slots = torch.empty_like(trace.slots)
        for part, given in zip(
            self.d_slots.split(self.width, dim=2), (gradients.hidden, gradients.memory)
        ):
            part.zero_() if given is None else part.copy_(given)
        self.summed = self.steps  # d_slots has what these and later steps want of earlier slots
        self.own, self.source = readers(arithmetic.reader, trace, weights, distance_bias)
        # a slot's gradient is done with when that of its step's sums is made: they share a place
        self.own.start_backward(d_sums=self.d_slots[:, self.prefix :])
        if self.source is not None:
            self.source.start_backward(torch.zeros_like(trace.source_summaries[:, 1:]))
        self.deep = trace.fusion_gates is not None
        if self.deep:
            self.d_fusion_gates = torch.zeros_like(trace.fusion_gates)

    def first(self, rows, summed):
        """The gradients of the first ``rows`` rows, in the same memory."""
        fewer = copy(self)
        fewer.summed = summed
        fewer.trace = self.trace.first(rows)
        fewer.gradients = mapped(lambda part: part[:rows], self.gradients)
        fewer.own, fewer.source = (part and part.first(rows) for part in (self.own, self.source))
        fewer.d_gates, fewer.d_slots = self.d_gates[:rows], self.d_slots[:rows]
        if self.deep:
            fewer.d_fusion_gates = self.d_fusion_gates[:rows]
        return fewer

    def step(self, t):
        """Take step t back, when all later ones have been."""
        slot = self.prefix + t
        d_gates, d_slot = self.d_gates[:, t], self.d_slot(t)
        self.cell_backward(
            self.trace.gates[:, t],
            self.trace.summaries[:, t + 1, self.width :],
            self.trace.slots[:, slot],
            d_slot,
            d_gates,
        )
        if self.deep:
            self.fuse_deep_backward(t, d_cell=d_slot[:, : self.width])
        d_summary = d_slot[:, : self.width]
        torch.mm(d_gates, self.weights.summary_gates, out=d_summary)  # (7)
        self.add_later(
            d_summary, t, self.own, self.weights.summary_query, self.gradients.summaries
        )
        if self.source is not None and not self.deep:
            self.fuse_shallow_backward(t, d_gates, d_summary)
        self.own.read_backward(t, window(slot, self.memory_span), self.gradients.attention)

    def d_slot(self, t):
        """What the outputs, later reads and the slot's key want of [h_t; c_t], (B, 2H)."""
        slot = self.prefix + t
        if self.summed - (t + 1) >= TOGETHER:
            self.sum_reads(t + 1)
        d_slot = self.d_slots[:, slot]
        if t + 1 < self.summed:
            d_slot += self.own.d_slots(slice(slot, slot + 1), slice(t + 1, self.summed)).squeeze(1)
        d_key = self.own.d_keys[:, slot].mul_(self.weights.score)
        if self.gradients.keys is not None:
            d_key += self.gradients.keys[:, slot]
        d_slot[:, : self.width].addmm_(d_key, self.weights.key)
        return d_slot

    def sum_reads(self, first):
        """Add to ``d_slots`` what the reads from step ``first`` on want of the slots before it."""
        seen = window(self.prefix + first, self.memory_span)
        self.d_slots[:, seen] += self.own.d_slots(seen, slice(first, self.summed))
        self.summed = first

    def fuse_deep_backward(self, t, d_cell):
        """Take (12)-(15) of step t back."""
        gate = self.trace.fusion_gates[:, t]
        memory = self.trace.source_summaries[:, t + 1, self.width :]
        d_gate = sigmoid_backward(d_cell * memory, gate)
        self.d_fusion_gates[:, t] = d_gate
        d_context, d_memory = self.source.d_sums[:, t].split(self.width, dim=1)
        torch.mm(d_gate, self.weights.source_gate, out=d_context)
        self.add_later(
            d_context,
            t,
            self.source,
            self.weights.source_query,
            self.gradients.source_summaries,
        )
        torch.mul(d_cell, gate, out=d_memory)
        self.source.read_backward(t, self.source.everything, self.gradients.source_attention)

    def fuse_shallow_backward(self, t, d_gates, d_summary):
        """Take the read of the source at step t back; add what its query wants of h~_t (B, H)."""
        d_context = self.source.d_sums[:, t]
        torch.mm(d_gates, self.weights.source_gate, out=d_context)
        if self.gradients.source_summaries is not None:
            d_context += self.gradients.source_summaries[:, t]
        self.source.read_backward(t, self.source.everything, self.gradients.source_attention)
        if self.weights.source_query is not None:
            d_summary.addmm_(self.source.d_queries[:, t], self.weights.source_query)

    def add_later(self, d_summary, t, reader, query_weight, given):
        """Add what the next step's query and the outputs want of a summary to it, (B, H)."""
        if t + 1 < self.steps:
            d_summary.addmm_(reader.d_queries[:, t + 1], query_weight)
        if given is not None:
            d_summary += given[:, t]

    def d_distance_bias(self):
        if self.distance_bias is None:
            return None
        index = far_to_near(self.distance_bias, len(self.own.d_bias))
        return torch.zeros_like(self.distance_bias).index_add_(0, index, self.own.d_bias)

    def d_weights(self):
        """Each weight's gradient in one product over all steps."""
        summaries = self.trace.summaries[..., : self.width]
        states = self.trace.slots[:, self.prefix :, : self.width]
        own = dict(
            key=product(self.own.d_keys[:, self.prefix :], states),
            summary_query=product(self.own.d_queries, summaries[:, :-1]),
            score=self.own.d_score.sum(dim=(0, 1)),
            summary_gates=product(self.d_gates, summaries[:, 1:]),
        )
        if self.source is None:
            return Weights(**own)
        contexts = self.trace.source_summaries[..., : self.width]
        d_query = None
        if self.weights.source_query is not None:
            follows = contexts[:, :-1] if self.deep else summaries[:, 1:]
            d_query = product(self.source.d_queries, follows)
        d_gates = self.d_fusion_gates if self.deep else self.d_gates
        return Weights(
            **own,
            source_query=d_query,
            source_score=self.source.d_score.sum(dim=(0, 1)),
            source_gate=product(d_gates, contexts[:, 1:]),
        )

    def d_tape(self):
        """What reads and the outputs, on which the prefix stands too, want of the prefix."""
        before = slice(self.prefix)
        self.sum_reads(0)
        d_keys = self.own.d_keys[:, before] * self.weights.score
        if self.gradients.keys is not None:
            d_keys += self.gradients.keys[:, before]
        slots = *self.d_slots[:, before].split(self.width, dim=2), d_keys
        d_source_summary = None
        if self.deep:
            d_source_summary = self.source.d_queries[:, 0] @ self.weights.source_query
        return Tape(*slots, self.own.d_queries[:, 0] @ self.weights.summary_query, d_source_summary)

    def d_source(self):
        if self.source is None:
            return None
        return Source(
            keys=self.source.d_keys * self.weights.source_score,
            slots=self.source.d_slots(slice(None), slice(None)),
            query_inputs=self.source.d_queries,
            gate_inputs=self.d_fusion_gates if self.deep else None,
        )


def product(d_outputs, inputs):
    """The gradient (O, I) of a weight from those of its outputs (B, T, O) and its inputs."""
    if d_outputs.stride(1) > d_outputs.stride(0):  # flatten copies nothing in the memory's order
        d_outputs, inputs = d_outputs.transpose(0, 1), inputs.transpose(0, 1)
    return d_outputs.flatten(0, 1).T @ inputs.flatten(0, 1)
