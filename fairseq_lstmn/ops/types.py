"""The tensors of the recurrence that its callers hold: weights, tapes, sources and attention.

B batch, T steps, S source length, G sentences, P prefix slots, H hidden width.
All vectors are row vectors; equation numbers are those of Cheng et al. 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

from torch import Tensor
from torch.serialization import add_safe_globals


def mapped(function: Callable[[Any], Any], value: Any, kind: type = Tensor) -> Any:
    """``value``, a tensor or (named) tuples of tensors and others, ``function`` on every tensor.

    Or on all that is of another ``kind``.
    """
    if isinstance(value, kind):
        return function(value)
    if isinstance(value, tuple):
        parts = [mapped(function, part, kind) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


class Tape(NamedTuple):
    """A layer's state: slots of the past, and the summaries its next step attends with.

    Row b's valid slots are its last ``lengths[b]``, so that the newest slot of every
    row is the last one and distances agree. ``None`` fields are filled in by
    ``lstmn``: keys are projected, summaries are zero, all slots are valid. Slots that are not
    valid are not attended, whatever stands there. ``torch.load`` takes it with ``weights_only``.
    """

    hidden: Tensor  # (B, P, H)
    memory: Tensor  # (B, P, H)
    keys: Tensor | None = None  # (B, P, H), W_h h_i
    summary: Tensor | None = None  # (B, H), h~ of the last step
    source_summary: Tensor | None = None  # (B, H), g~ of the last step; with a source only
    lengths: Tensor | None = None  # (B,) integers in 0..P

    def latest(self, slots: int) -> Tape:
        """The tape with no more than its latest ``slots`` slots."""
        first = max(0, self.hidden.size(1) - slots)
        hidden, memory, keys = mapped(lambda part: part[:, first:], tuple(self[:3]))
        lengths = None if self.lengths is None else self.lengths.clamp(max=hidden.size(1))
        return Tape(hidden, memory, keys, self.summary, self.source_summary, lengths)

    def map(self, function: Callable[[Tensor], Tensor]) -> Tape:
        """The tape with ``function`` applied to every tensor."""
        return cast(Tape, mapped(function, self))

    def reorder(self, rows: Tensor) -> Tape:
        """The tape with ``rows`` (B',) for its rows."""
        return self.map(lambda part: part.index_select(0, rows))


class Weights(NamedTuple):
    """The weights inside the recurrence; those on x_t are in ``lstmn``'s inputs.

    Gates stand in torch's order: input, forget, candidate, output.
    """

    key: Tensor  # (H, H), W_h of (4)
    summary_query: Tensor  # (H, H), W_h~ of (4)
    score: Tensor  # (H,), v of (4)
    summary_gates: Tensor  # (4H, H), the part of (7) on h~_t
    source_query: Tensor | None = None  # (H, H), W_g~ of (12); shallow fusion: W_q or None
    source_score: Tensor | None = None  # (H,), u of (12)
    source_gate: Tensor | None = None  # (H, H), the part of (14) on g~_t; shallow fusion:
    # (4H, H), the part of (7) on g~_t


class Source(NamedTuple):
    """An encoder layer's tapes, attended at every step.

    With the memory tape in its slots, deep fusion (12)-(16): the query follows g~_{t-1}. With
    the hidden tape alone, shallow fusion: the query follows h~_t, and the context g~_t joins
    [h~_t; x_t] in (7). Slots that the mask leaves out get no attention, but must be finite.
    G sentences may be fewer than rows: each is then attended by B / G successive rows.
    """

    keys: Tensor  # (G, S, H), W_g g_j
    slots: Tensor  # (G, S, 2H), [g_j; al_j] of Y and A; shallow fusion: (G, S, H), g_j
    query_inputs: Tensor  # (B, T, H), W_x' x_t of (12)
    gate_inputs: Tensor | None  # (B, T, H), (14) on x_t with its bias; deep fusion only
    mask: Tensor | None = None  # (G, S) bool, True at real tokens

    def for_each(self, rows: int) -> Source:
        """The source with a sentence for each of ``rows`` rows."""
        if len(self.keys) == rows:
            return self
        queries = rows // len(self.keys)
        keys, slots, mask = mapped(
            lambda part: part.repeat_interleave(queries, dim=0), (self.keys, self.slots, self.mask)
        )
        return self._replace(keys=keys, slots=slots, mask=mask)


class Attention(NamedTuple):
    """Attention of every step; weights are zero where it may not look, all at padded steps."""

    tape: Tensor  # (B, T, P + T), s of (5) over prefix slots, then this call's own
    source: Tensor | None = None  # (B, T, S), p of (13)
    context: Tensor | None = None  # (B, T, H), what it attends to, g~_t of (13)


add_safe_globals([Tape, Weights, Source, Attention])
