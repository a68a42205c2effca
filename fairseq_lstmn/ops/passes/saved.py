"""What the forward pass saves for the backward pass, and the way along the steps.

B batch, T steps, P prefix slots, S source length, G sentences, H hidden width. A slot is
[hidden; memory], 2H wide. Equation numbers are those of Cheng et al. 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar, cast

import torch
from torch import Tensor

from fairseq_lstmn.ops.cache import Cache
from fairseq_lstmn.ops.pages import in_huge_pages
from fairseq_lstmn.ops.passes.inputs import Inputs, Results
from fairseq_lstmn.ops.types import Weights, mapped

OfSource: TypeAlias = Any  # a Tensor; None without a source, where nobody looks at it
AnyT = TypeVar("AnyT")


class SavedActivations(NamedTuple):
    """What the forward pass computes: ``results`` are views of it, the backward pass needs it."""

    slots: Tensor  # (B, P + T, 2H)
    keys: Tensor  # (B, P + T, H)
    queries: Tensor  # (B, T, H), W_x x_t + W_h~ h~_{t-1}
    attention: Tensor  # (B, T, P + T), see ``attention_weights``
    gates: Tensor  # (B, T, 4H), after sigmoid and tanh
    summaries: Tensor  # (B, 1 + T, 2H), [h~; c~], first the one before the first step
    source_queries: OfSource = None  # (B, T, H)
    source_attention: OfSource = None  # (B, T, S)
    source_summaries: OfSource = None  # (B, 1 + T, 2H), [g~; al~]; or (B, 1 + T, H)
    fusion_gates: OfSource = None  # (B, T, H), r of (14); deep fusion only

    @staticmethod
    def allocate(inputs: Inputs) -> SavedActivations:
        """Those of ``inputs`` before the first step, the prefix in its cache or in a copy of it.

        Of the rest only the summaries before the first step and what is read of the source are
        written.
        """
        query_inputs, gate_inputs, _, tape, source, *_ = inputs
        _, steps, width = query_inputs.shape
        assert tape.summary is not None and tape.source_summary is not None
        cache = Cache.of(tape, steps) if inputs.cache is None else inputs.cache
        slots, keys = cache.window(tape.hidden.size(1), steps)
        activations = SavedActivations(
            *(slots, keys, uninitialised(query_inputs)),
            attention_weights(inputs, slots.size(1)),
            uninitialised(gate_inputs),
            before_first(tape.summary, steps, 2 * width),
        )
        if source is None:
            return activations
        return activations._replace(
            source_queries=source.query_inputs.clone(),
            source_attention=attention_weights(inputs, source.keys.size(1)),
            source_summaries=before_first(tape.source_summary, steps, source.slots.size(2)),
            fusion_gates=None if source.gate_inputs is None else source.gate_inputs.clone(),
        )

    def present(self) -> list[Tensor]:
        """The fields that are there: six without a source, nine in shallow, ten in deep fusion."""
        return [part for part in self if part is not None]

    def results(self, width: int) -> Results:
        """The fields of ``Results``; those about the source are None without one.

        Also of gradients, where what is None stays None.
        """
        hidden, memory = (None, None) if self.slots is None else self.slots.split(width, dim=2)
        fields: Any = (
            *(hidden, memory, self.keys, of_steps(self.summaries, width), self.attention),
            *(of_steps(self.source_summaries, width), self.source_attention),
        )
        return Results(*fields)


class SavedForBackward(NamedTuple):
    """All that the backward pass needs: activations, and the inputs that it looks at again."""

    activations: SavedActivations
    weights: Weights
    source_keys: OfSource  # (G, S, H)
    source_slots: OfSource  # (G, S, 2H), shallow fusion: (G, S, H)
    distance_bias: Tensor | None  # (R + 1,)
    memory_span: int
    rows: Sequence[int] | None

    @staticmethod
    def of(inputs: Inputs, activations: SavedActivations) -> SavedForBackward:
        keys, slots = (None, None) if inputs.source is None else inputs.source[:2]
        return SavedForBackward(
            *(activations, inputs.weights, keys, slots),
            *(inputs.distance_bias, inputs.memory_span, inputs.rows),
        )

    def tensors(self) -> list[Tensor | None]:
        """All tensors in order, None for each that is absent; ``of_tensors`` takes them."""
        return [*self.activations, *self.weights, *self[2:5]]

    @staticmethod
    def of_tensors(
        tensors: Sequence[Any], memory_span: int, rows: Sequence[int] | None
    ) -> SavedForBackward:
        activations, weights = SavedActivations(*tensors[:10]), Weights(*tensors[10:17])
        keys, slots, bias = tensors[17:]
        return SavedForBackward(activations, weights, keys, slots, bias, memory_span, rows)


class Gradients(NamedTuple):
    """Of ``SavedActivations``; those of keys and queries lack the factor v until the end."""

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
    def allocate(saved: SavedForBackward) -> Gradients:
        """Memory for them, not written."""
        a = saved.activations
        slots, keys, queries, gates = map(uninitialised, (a.slots, a.keys, a.queries, a.gates))
        gradients = Gradients(slots, keys, queries, uninitialised(queries[:, 0]), gates)
        if saved.source_keys is None:
            return gradients
        return gradients._replace(
            source_keys=uninitialised(saved.source_keys),
            source_queries=uninitialised(queries),
            source_score=uninitialised(gradients.score),
            source_sums=uninitialised(a.source_summaries[:, 1:]),
            fusion_gates=None if a.fusion_gates is None else uninitialised(a.fusion_gates),
        )


class Kernels(Protocol):
    """Both passes of a layer: all that autograd, ``vmap`` and compilers know of a backend.

    A row's numbers lie side by side in what they take, but for the tape and gradients, whose
    slots may lie anywhere; what they return shares no memory with it, but for slots in a cache.
    """

    def forward(self, inputs: Inputs) -> SavedActivations:
        """All steps; their slots stand behind the tape, in its cache if it has one.

        Numbers at padded steps, beyond ``rows``, are finite, slots there are zero.
        """

    def backward(self, saved: SavedForBackward, grad_results: Results) -> Inputs:
        """The gradients of all floating ``Inputs``, from those of ``Results``, any of them None.

        The source has a sentence for each row.
        """


def uninitialised(like: Tensor) -> Tensor:
    return in_huge_pages(torch.empty_like(like))


def attention_weights(inputs: Inputs, slots: int) -> Tensor:
    """(B, T, slots); where nobody asks for them, all steps are in the same memory."""
    batch, steps, _ = inputs.query_inputs.shape
    if inputs.discard_attention:
        return inputs.query_inputs.new_empty(batch, 1, slots).expand(batch, steps, slots)
    return in_huge_pages(inputs.query_inputs.new_empty(batch, steps, slots))


def before_first(summary: Tensor, steps: int, width: int) -> Tensor:
    """(B, 1 + T, width): ``summary`` (B, H) with zeros in front of the steps' own.

    In memory the steps stand first: what products read and write there lies side by side.
    """
    batch, hidden = summary.shape
    summaries = in_huge_pages(summary.new_empty(1 + steps, batch, width))
    summaries[0, :, :hidden], summaries[0, :, hidden:] = summary, 0
    return summaries.transpose(0, 1)


def of_steps(summaries: Tensor | None, width: int) -> Tensor | None:
    """(B, T, H) of (B, 1 + T, V): without the one before the first step, and without memory."""
    return None if summaries is None else summaries[:, 1:, :width]


def first(rows: int, parts: AnyT) -> AnyT:
    """Nested tuples of tensors (B, ...), of each the first ``rows``, in the same memory."""
    return cast(AnyT, mapped(lambda part: part[:rows], parts))


def segments(rows: Sequence[int] | None, batch: int, steps: int) -> list[tuple[range, int]]:
    """``[(range of steps, how many rows have them)]``, in order; ``rows`` as in ``Inputs``."""
    if rows is None:
        return [(range(steps), batch)]
    starts = [t for t in range(steps) if t == 0 or rows[t] != rows[t - 1]]
    return [(range(t, end), rows[t]) for t, end in zip(starts, [*starts[1:], steps])]


def window(slot: int, memory_span: int) -> slice:
    """The slots that the step which writes ``slot`` attends."""
    return slice(max(0, slot - memory_span) if memory_span else 0, slot)


def relative_distance_index(distance_bias: Tensor, slots: int) -> Tensor:
    """The entries of ``distance_bias`` (R + 1,) for slots at distances ``slots``..1."""
    distances = torch.arange(slots, 0, -1, device=distance_bias.device)
    return (distances - 1).clamp(max=len(distance_bias) - 1)
