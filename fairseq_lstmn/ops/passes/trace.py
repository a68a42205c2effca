"""What a forward pass makes and its backward pass reads, and the way along the steps.

B batch, T steps, P prefix slots, S source length, G sentences, H hidden width. A slot is
[hidden; memory], 2H wide. Equation numbers are those of Cheng et al. 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import torch
from torch import Tensor

from fairseq_lstmn.ops.room import Room
from fairseq_lstmn.ops.types import Inputs, Results, mapped

OfSource: TypeAlias = Any  # a Tensor; None without a source, where nobody reads it
AnyT = TypeVar("AnyT")


class Trace(NamedTuple):
    """What the forward pass makes and the backward pass reads."""

    slots: Tensor  # (B, P + T, 2H)
    keys: Tensor  # (B, P + T, H)
    queries: Tensor  # (B, T, H), W_x x_t + W_h~ h~_{t-1}
    attention: Tensor  # (B, T, P + T), see ``weights``
    gates: Tensor  # (B, T, 4H), after sigmoid and tanh
    summaries: Tensor  # (B, 1 + T, 2H), [h~; c~], first the one before the first step
    source_slots: OfSource = None  # (G, S, 2H), shallow fusion: (G, S, H)
    source_keys: OfSource = None  # (G, S, H)
    source_queries: OfSource = None  # (B, T, H)
    source_attention: OfSource = None  # (B, T, S)
    source_summaries: OfSource = None  # (B, 1 + T, 2H), [g~; al~]; or (B, 1 + T, H)
    fusion_gates: OfSource = None  # (B, T, H), r of (14); deep fusion only

    @staticmethod
    def start(inputs: Inputs, room: Room) -> Trace:
        """The trace before the first step, the prefix in its room."""
        query_inputs, gate_inputs, _, tape, source, *_ = inputs
        batch, steps, width = query_inputs.shape
        assert tape.summary is not None and tape.source_summary is not None
        slots, keys = room.window(tape.hidden.size(1), steps)
        trace = Trace(
            slots,
            keys,
            torch.empty_like(query_inputs),
            weights(inputs, slots.size(1)),
            torch.empty_like(gate_inputs),
            before_first(tape.summary, steps, 2 * width),
        )
        if source is None:
            return trace
        return trace._replace(
            source_slots=source.slots,
            source_keys=source.keys,
            source_queries=source.query_inputs.clone(),
            source_attention=weights(inputs, source.keys.size(1)),
            source_summaries=before_first(tape.source_summary, steps, source.slots.size(2)),
            fusion_gates=None if source.gate_inputs is None else source.gate_inputs.clone(),
        )

    def made(self) -> Results:
        """The fields of ``Results``; those about the source are None without one."""
        width = self.keys.size(2)
        hidden, memory = self.slots.split(width, dim=2)
        contexts: OfSource = None
        if self.source_summaries is not None:
            contexts = self.source_summaries[:, 1:, :width]
        return Results(
            hidden,
            memory,
            self.keys,
            self.summaries[:, 1:, :width],
            self.attention,
            contexts,
            self.source_attention,
        )


def weights(inputs: Inputs, slots: int) -> Tensor:
    """(B, T, slots), zeros; where nobody asks for them, all steps are in the same memory."""
    batch, steps, _ = inputs.query_inputs.shape
    if inputs.discard_attention:
        return inputs.query_inputs.new_zeros(batch, 1, slots).expand(batch, steps, slots)
    return inputs.query_inputs.new_zeros(batch, steps, slots)


def before_first(summary: Tensor, steps: int, width: int) -> Tensor:
    """(B, 1 + T, width): ``summary`` (B, H) in front of the steps' own; the rest is zero.

    In memory the steps stand first: what products read and write there lies side by side.
    """
    rest = 0, width - summary.size(1), 0, 0, 0, steps
    return torch.nn.functional.pad(summary.unsqueeze(0), rest).transpose(0, 1)


def first(rows: int, parts: AnyT) -> AnyT:
    """Nested tuples of tensors (B, ...), of each the first ``rows``, in the same memory."""
    made: AnyT = mapped(lambda part: part[:rows], parts)
    return made


def segments(rows: Sequence[int] | None, batch: int, steps: int) -> list[tuple[range, int]]:
    """``[(range of steps, how many rows have them)]``, in order; ``rows`` as in ``Inputs``."""
    if rows is None:
        return [(range(steps), batch)]
    starts = [t for t in range(steps) if t == 0 or rows[t] != rows[t - 1]]
    return [(range(t, end), rows[t]) for t, end in zip(starts, [*starts[1:], steps])]


def window(slot: int, memory_span: int) -> slice:
    """The slots that the step which writes ``slot`` attends."""
    return slice(max(0, slot - memory_span) if memory_span else 0, slot)


def far_to_near(distance_bias: Tensor, slots: int) -> Tensor:
    """Where in ``distance_bias`` (R + 1,) the slots at distances ``slots``..1 look."""
    distances = torch.arange(slots, 0, -1, device=distance_bias.device)
    return (distances - 1).clamp(max=len(distance_bias) - 1)
