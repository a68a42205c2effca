"""The forward and the backward pass of `recompute`, as functions of tensors.

B batch, T steps, P prefix slots, S source length, H hidden width. A slot is [hidden; memory],
2H wide. Equation numbers are those of Cheng et al. 2016.
"""

from typing import Callable, NamedTuple, Optional

import torch
from torch import Tensor

from fairseq_lstmn.ops.ragged import empty_slots
from fairseq_lstmn.ops.types import Steps, mapped


def directly(function, *arguments):
    return function(*arguments)


class Arithmetic(NamedTuple):
    """What a step consists of beside matrix products, in torch or compiled."""

    reader: Callable  # makes a ``reader.Reader`` or its like
    cell: Callable  # as ``cell.cell``
    cell_backward: Callable  # as ``cell.cell_backward``
    run: Callable = directly  # how a training pass is run


class Trace(NamedTuple):
    """What the forward pass makes and the backward pass reads."""

    slots: Tensor  # (B, P + T, 2H)
    keys: Tensor  # (B, P + T, H)
    queries: Tensor  # (B, T, H), W_x x_t + W_h~ h~_{t-1}
    attention: Tensor  # (B, T, P + T)
    gates: Tensor  # (B, T, 4H), after sigmoid and tanh
    summaries: Tensor  # (B, 1 + T, 2H), [h~; c~], first the one before the first step
    source_slots: Optional[Tensor] = None  # (G, S, 2H), shallow fusion: (G, S, H)
    source_keys: Optional[Tensor] = None  # (G, S, H)
    source_queries: Optional[Tensor] = None  # (B, T, H)
    source_attention: Optional[Tensor] = None  # (B, T, S)
    source_summaries: Optional[Tensor] = None  # (B, 1 + T, 2H), [g~; al~]; or (B, 1 + T, H)
    fusion_gates: Optional[Tensor] = None  # (B, T, H), r of (14); deep fusion only

    @staticmethod
    def start(inputs, room):
        """The trace before the first step, the prefix in its room."""
        query_inputs, gate_inputs, _, tape, source, *_ = inputs
        batch, steps, width = query_inputs.shape
        slots, keys = room.window(tape.hidden.size(1), steps)
        trace = Trace(
            slots,
            keys,
            torch.empty_like(query_inputs),
            query_inputs.new_zeros(batch, steps, slots.size(1)),
            torch.empty_like(gate_inputs),
            before_first(tape.summary, steps, 2 * width),
        )
        if source is None:
            return trace
        return trace._replace(
            source_slots=source.slots,
            source_keys=source.keys,
            source_queries=source.query_inputs.clone(),
            source_attention=query_inputs.new_zeros(batch, steps, source.keys.size(1)),
            source_summaries=before_first(tape.source_summary, steps, source.slots.size(2)),
            fusion_gates=None if source.gate_inputs is None else source.gate_inputs.clone(),
        )

    def first(self, rows):
        """The trace of the first ``rows`` rows, in the same memory."""
        return mapped(lambda part: part[:rows], self)

    def made(self):
        """The fields of ``Steps``; those about the source are None without one."""
        width = self.keys.size(2)
        hidden, memory = self.slots.split(width, dim=2)
        fused = self.source_summaries is not None
        return Steps(
            hidden,
            memory,
            self.keys,
            self.summaries[:, 1:, :width],
            self.attention,
            self.source_summaries[:, 1:, :width] if fused else None,
            self.source_attention,
        )


def before_first(summary, steps, width):
    """(B, 1 + T, width): ``summary`` (B, H) in front of the steps' own; the rest is zero.

    In memory the steps stand first: what products read and write there lies side by side.
    """
    rest = 0, width - summary.size(1), 0, 0, 0, steps
    return torch.nn.functional.pad(summary.unsqueeze(0), rest).transpose(0, 1)


def window(slot, memory_span):
    """The slots that the step which writes ``slot`` attends."""
    return slice(max(0, slot - memory_span) if memory_span else 0, slot)


def far_to_near(distance_bias, slots):
    """Where in ``distance_bias`` (R + 1,) the slots at distances ``slots``..1 look."""
    distances = torch.arange(slots, 0, -1, device=distance_bias.device)
    return (distances - 1).clamp(max=len(distance_bias) - 1)


def readers(reader, trace, weights, distance_bias, blocked=None, source_mask=None):
    """A ``reader`` of the own tape and, if there is one, of the source."""
    bias = None
    if distance_bias is not None:
        bias = distance_bias[far_to_near(distance_bias, trace.keys.size(1))]
    own = reader(
        trace.keys, trace.slots, trace.queries, trace.attention, weights.score, bias, blocked
    )
    if trace.source_slots is None:
        return own, None
    if source_mask is not None:
        readers_each = len(trace.keys) // max(1, len(source_mask))
        source_mask = source_mask.repeat_interleave(readers_each, dim=0)
    return own, reader(
        trace.source_keys,
        trace.source_slots,
        trace.source_queries,
        trace.source_attention,
        weights.source_score,
        blocked=None if source_mask is None else ~source_mask,
    )


def forward(arithmetic, inputs, room):
    """All steps, traced; their slots are written behind the tape in its ``room``."""
    query_inputs, gate_inputs, weights, tape, source, memory_span, distance_bias, rows, _ = inputs
    trace = whole = Trace.start(inputs, room)
    steps, width = query_inputs.shape[1:]
    prefix = tape.hidden.size(1)
    own, other = readers(
        arithmetic.reader,
        trace,
        weights,
        distance_bias,
        blocked_slots(tape, steps),
        source and source.mask,
    )
    to_query, to_gates, to_key = (
        transposed(part, steps)
        for part in (weights.summary_query, weights.summary_gates, weights.key)
    )
    torch.addmm(query_inputs[:, 0], tape.summary, to_query, out=trace.queries[:, 0])
    for t in range(steps):
        slot = prefix + t
        if rows is not None and rows[t] < len(trace.slots):
            trace.slots[rows[t] :, slot:] = trace.keys[rows[t] :, slot:] = 0
            trace, own, other = (part and part.first(rows[t]) for part in (trace, own, other))
            query_inputs, gate_inputs = query_inputs[: rows[t]], gate_inputs[: rows[t]]
        summary = trace.summaries[:, t + 1]
        own.read(t, window(slot, memory_span), summary)  # (4)-(6)
        hidden = summary[:, :width]
        if t + 1 < steps:
            following = trace.queries[:, t + 1]
            torch.addmm(query_inputs[:, t + 1], hidden, to_query, out=following)
        gates = trace.gates[:, t]
        torch.addmm(gate_inputs[:, t], hidden, to_gates, out=gates)
        fused = None
        if other is not None:
            fused = read_source(trace, weights, other, t)
            if trace.fusion_gates is None:
                gates += fused
                fused = None
        arithmetic.cell(gates, summary[:, width:], fused, trace.slots[:, slot])
        torch.mm(trace.slots[:, slot, :width], to_key, out=trace.keys[:, slot])
    return whole


def transposed(weight, steps):
    """``weight`` (O, I) as products (B, I) @ (I, O) read it fastest, if steps repay a copy."""
    return weight.T.contiguous() if steps > 1 else weight.T


def blocked_slots(tape, steps):
    """(B, P + T), True at the prefix slots that are not valid; None when all are."""
    if tape.lengths is None:
        return None
    return empty_slots(tape.lengths + steps, tape.hidden.size(1) + steps)


def read_source(trace, weights, reader, t):
    """What joins c_t (B, H), r_t * al~_t of (12)-(14); in shallow fusion the gates (B, 4H)."""
    width = trace.keys.size(2)
    deep = trace.fusion_gates is not None
    if weights.source_query is not None:
        follows = trace.source_summaries[:, t] if deep else trace.summaries[:, t + 1]
        trace.source_queries[:, t].addmm_(follows[:, :width], weights.source_query.T)
    summary = trace.source_summaries[:, t + 1]
    reader.read(t, reader.everything, summary)
    to_gate = summary[:, :width] @ weights.source_gate.T
    if not deep:
        return to_gate
    return trace.fusion_gates[:, t].add_(to_gate).sigmoid_() * summary[:, width:]
