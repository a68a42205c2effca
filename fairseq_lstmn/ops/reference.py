"""The oracle: the equations step by step, by plain autograd.

Equations 4-9 and 12-16 of Cheng et al. 2016, and shallow fusion. B batch, T steps, P prefix
slots, S source length, H hidden width. Slow and memory-hungry on purpose: every other backend
is held against this one.
"""

from typing import Any

import torch
from torch import Tensor

from fairseq_lstmn.ops.passes.inputs import Inputs, Results
from fairseq_lstmn.ops.types import Source, Weights


def layer(inputs: Inputs) -> Results:
    """All steps of a layer: ``Results`` of ``Inputs``.

    Nobody looks at step t of other rows than the first ``rows[t]``; here they are computed as well.
    """
    query_inputs, gate_inputs, weights, tape, source, memory_span, distance_bias, *_ = inputs
    hidden, memory, keys, summary, source_summary, lengths = tape
    assert keys is not None and summary is not None and source_summary is not None
    prefix = hidden.size(1)
    source = source and source.for_each(len(hidden))
    lengths = hidden.new_full((len(hidden),), prefix) if lengths is None else lengths
    steps = []
    for t in range(query_inputs.size(1)):
        distance = torch.arange(prefix + t, 0, -1, device=hidden.device)
        allowed = distance <= t + lengths.unsqueeze(1)
        if memory_span:
            allowed = allowed & (distance <= memory_span)

        query = query_inputs[:, t] + summary @ weights.summary_query.T
        scores = torch.tanh(keys + query.unsqueeze(1)) @ weights.score  # (4)
        if distance_bias is not None:
            scores = scores + distance_bias[(distance - 1).clamp(max=len(distance_bias) - 1)]
        attention = masked_softmax(scores, allowed)  # (5)
        summary = weighted_sum(attention, hidden)  # (6)
        memory_summary = weighted_sum(attention, memory)

        source_attention: Tensor | None = None
        to_gates: Tensor | int = 0
        to_cell: Tensor | int = 0
        if source is not None:
            source_attention, source_summary, to_gates, to_cell = attend_source(
                source, t, summary, source_summary, weights
            )
        gates = gate_inputs[:, t] + summary @ weights.summary_gates.T + to_gates  # (7)
        input_, forget, candidate, output = gates.chunk(4, dim=-1)
        cell = forget.sigmoid() * memory_summary + input_.sigmoid() * candidate.tanh()  # (8)
        cell = cell + to_cell  # (15)
        state = output.sigmoid() * cell.tanh()  # (9), (16)

        key = state @ weights.key.T
        hidden, memory, keys = (
            torch.cat([slots, new.unsqueeze(1)], dim=1)
            for slots, new in ((hidden, state), (memory, cell), (keys, key))
        )
        steps.append((summary, source_summary, attention, source_attention))
    return collect(hidden, memory, keys, *zip(*steps))


def attend_source(
    source: Source, t: int, summary: Tensor, source_summary: Tensor, weights: Weights
) -> tuple[Tensor, Tensor, Tensor | int, Tensor | int]:
    """Attention (B, S), context g~_t (B, H), and what joins the gates (B, 4H) and c_t (B, H)."""
    assert weights.source_score is not None and weights.source_gate is not None
    assert source.mask is not None
    query = source.query_inputs[:, t]
    if weights.source_query is not None:
        follows = summary if source.gate_inputs is None else source_summary
        query = query + follows @ weights.source_query.T
    scores = torch.tanh(source.keys + query.unsqueeze(1)) @ weights.source_score  # (12)
    attention = masked_softmax(scores, source.mask)
    context, *memory = weighted_sum(attention, source.slots).split(summary.size(1), dim=1)  # (13)
    to_gate = context @ weights.source_gate.T
    if source.gate_inputs is None:
        return attention, context, to_gate, 0
    gate = (source.gate_inputs[:, t] + to_gate).sigmoid()  # (14)
    return attention, context, 0, gate * memory[0]


def masked_softmax(scores: Tensor, allowed: Tensor) -> Tensor:
    """Softmax over the allowed slots (B, n); all zeros where none is allowed."""
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~allowed, lowest).softmax(dim=-1) * allowed


def weighted_sum(attention: Tensor, slots: Tensor) -> Tensor:
    """sum_i s_i slot_i: (B, n), (B, n, H) -> (B, H)."""
    return (attention.unsqueeze(1) @ slots).squeeze(1)


def collect(
    hidden: Tensor,
    memory: Tensor,
    keys: Tensor,
    summaries: Any,
    source_summaries: Any,
    attention: Any,
    source_attention: Any,
) -> Results:
    """Stack what steps have computed; the attention rows grow by a slot a step and are padded."""
    rows = [torch.nn.functional.pad(row, (0, hidden.size(1) - row.size(1))) for row in attention]
    return Results(
        hidden,
        memory,
        keys,
        torch.stack(summaries, dim=1),
        torch.stack(rows, dim=1),
        torch.stack(source_summaries, dim=1),
        None if source_attention[0] is None else torch.stack(source_attention, dim=1),
    )
