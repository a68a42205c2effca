"""The forward pass of `recompute` and the compiled backends, in the order of the equations.

B batch, T steps, P prefix slots, S source length, G sentences, H hidden width.
"""

from typing import Any

import torch
from torch import Tensor

from fairseq_lstmn.ops.memory import room_for_attention
from fairseq_lstmn.ops.passes.fusion import fusion
from fairseq_lstmn.ops.passes.trace import Trace, far_to_near, first, segments, window
from fairseq_lstmn.ops.ragged import empty_slots
from fairseq_lstmn.ops.room import Room
from fairseq_lstmn.ops.types import Inputs, Source, Tape


def forward(kernels: Any, inputs: Inputs, room: Room) -> Trace:
    """All steps, traced; their slots are written behind the tape in its ``room``.

    ``kernels`` have ``read`` and ``cell`` (see ``step_kernels``).
    """
    query_inputs, gate_inputs, weights, tape, source, memory_span, distance_bias, rows, *_ = inputs
    assert tape.summary is not None
    with room_for_attention(inputs):
        trace = Trace.start(inputs, room)
    batch, steps, width = query_inputs.shape
    prefix = tape.hidden.size(1)
    bias = None
    if distance_bias is not None:
        bias = distance_bias[far_to_near(distance_bias, prefix + steps)]
    to_query, to_gates, to_key = (
        transposed(part, steps)
        for part in (weights.summary_query, weights.summary_gates, weights.key)
    )
    fuse = fusion(kernels, weights, trace)
    by_row = trace, query_inputs, gate_inputs, blocked_slots(tape, steps), unread(source, batch)
    torch.addmm(query_inputs[:, 0], tape.summary, to_query, out=trace.queries[:, 0])
    for span, count in segments(rows, batch, steps):
        made, queries, gates_of, blocked, masked = first(count, by_row)
        for part in (trace.slots, trace.keys):
            part[count:, prefix + span.start :] = 0
        for t in span:
            slot = prefix + t
            seen = window(slot, memory_span)
            summary = made.summaries[:, t + 1]
            kernels.read(
                made.keys,
                made.slots,
                made.queries[:, t],
                weights.score,
                bias,
                blocked,
                made.attention[:, t],
                summary,
                seen.start,
                seen.stop,
            )  # (4)-(6)
            hidden, memory = summary[:, :width], summary[:, width:]
            if t + 1 < steps:
                torch.addmm(queries[:, t + 1], hidden, to_query, out=made.queries[:, t + 1])
            gates = made.gates[:, t]
            torch.addmm(gates_of[:, t], hidden, to_gates, out=gates)  # (7)
            to_cell = None if fuse is None else fuse.forward(made, t, gates, masked)  # (12)-(14)
            kernels.cell(gates, memory, to_cell, made.slots[:, slot])  # (8)-(9), (15)-(16)
            torch.mm(made.slots[:, slot, :width], to_key, out=made.keys[:, slot])
    return trace


def transposed(weight: Tensor, steps: int) -> Tensor:
    """``weight`` (O, I) as products (B, I) @ (I, O) read it fastest, if steps repay a copy."""
    return weight.T.contiguous() if steps > 1 else weight.T


def blocked_slots(tape: Tape, steps: int) -> Tensor | None:
    """(B, P + T), True at the prefix slots that are not valid; None when all are."""
    if tape.lengths is None:
        return None
    return empty_slots(tape.lengths + steps, tape.hidden.size(1) + steps)


def unread(source: Source | None, batch: int) -> Tensor | None:
    """(B, S), True at the source's slots that may not be read; None without a source."""
    if source is None:
        return None
    assert source.mask is not None
    return ~source.mask.repeat_interleave(batch // max(1, len(source.mask)), dim=0)
