"""Passes in few sizes: rows, steps and slots of a source rounded up, so that shapes come again.

B batch, T steps, P prefix slots, S source length, G sentences.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar

import torch
from torch import Tensor

from fairseq_lstmn.ops.passes.inputs import Inputs, Results
from fairseq_lstmn.ops.passes.saved import (
    Kernels,
    SavedActivations,
    SavedForBackward,
    attention_weights,
)
from fairseq_lstmn.ops.triton.arena import Shape
from fairseq_lstmn.ops.triton.graphs import Graphs
from fairseq_lstmn.ops.types import Source, Tape, mapped

StepsT = TypeVar("StepsT", SavedActivations, Results)
Change: TypeAlias = Callable[..., Any]  # of a tensor, and how much more its first dimensions have


class InGraphs:
    """``Kernels`` whose passes are recorded by ``graphs_of`` a device, in few sizes.

    Behind the rows, the steps and the slots of the source stand zeros and slots that are masked.
    Not for a tape with a cache, which stands at another place in every call.
    """

    def __init__(self, kernels: Kernels, graphs_of: Callable[[torch.device], Graphs]) -> None:
        self.kernels, self.graphs_of = kernels, graphs_of

    def forward(self, inputs: Inputs) -> SavedActivations:
        source_keys = inputs.source and inputs.source.keys
        more = Padding.of(inputs.query_inputs, source_keys)

        def cut(activations: SavedActivations) -> SavedActivations:
            if inputs.discard_attention:  # put back below, without a copy
                nothing: Any = {"attention": None, "source_attention": None}
                activations = activations._replace(**nothing)
            return more.of_steps(corner, activations)

        graphs = self.graphs_of(inputs.query_inputs.device)
        shapes = more.of_inputs(Shape.of, inputs)
        activations: SavedActivations = graphs.run(self.kernels.forward, (inputs,), (shapes,), cut)
        if activations.attention is None:
            return any_attention(inputs, activations)
        return activations

    def backward(self, saved: SavedForBackward, grad_results: Results) -> Inputs:
        more = Padding.of(saved.activations.queries, saved.source_keys)
        shapes = more.of_saved(Shape.of, saved), more.of_steps(Shape.of, grad_results)
        graphs = self.graphs_of(saved.weights.key.device)
        gradients: Inputs = graphs.run(
            *(self.kernels.backward, (saved, grad_results), shapes),
            lambda gradients: more.of_inputs(corner, gradients),
        )
        return gradients


def any_attention(inputs: Inputs, activations: SavedActivations) -> SavedActivations:
    """``activations`` with weights that nobody asks for, any numbers."""
    weights = attention_weights(inputs, activations.slots.size(1))
    of_source = inputs.source and attention_weights(inputs, inputs.source.keys.size(1))
    return activations._replace(attention=weights, source_attention=of_source)


def round_up(size: int) -> int:
    """The least of 0, 1, 2, 3, 4, 6, 8, 12, 16, 24... that is no less.

    Two sizes an octave: ``tests/ops/test_buckets.py`` counts what comes of them in training.
    """
    power = 1 << max(0, size - 1).bit_length()
    return next(bucket for bucket in (0, power * 3 // 4, power) if size <= bucket)


class Padding(NamedTuple):
    """How much more of each a pass has in its bucket."""

    rows: int
    sentences: int
    steps: int
    slots: int

    @staticmethod
    def of(queries: Tensor, source_keys: Tensor | None) -> Padding:
        """That of a pass with these (B, T, H) and (G, S, H); each sentence has its B / G rows."""
        batch, steps, _ = queries.shape
        sentences, slots = (batch, 0) if source_keys is None else source_keys.shape[:2]
        more = [round_up(size) - size for size in (sentences, steps, slots)]
        return Padding(more[0] * (batch // max(1, sentences)), *more)

    def of_inputs(self, change: Change, inputs: Inputs) -> Inputs:
        """``change`` of every tensor in ``Inputs``, for all rows."""
        rows, _, steps, _ = self
        source = inputs.source and self.of_source(change, inputs.source)
        return inputs._replace(
            query_inputs=change(inputs.query_inputs, rows, steps),
            gate_inputs=change(inputs.gate_inputs, rows, steps),
            weights=mapped(change, inputs.weights),
            tape=Tape(*(changed(change, part, rows) for part in inputs.tape)),
            source=source,
            distance_bias=changed(change, inputs.distance_bias),
            rows=None,
        )

    def of_source(self, change: Change, source: Source) -> Source:
        """``change`` of every tensor in ``Source``."""
        rows, sentences, steps, slots = self
        return Source(
            keys=change(source.keys, sentences, slots),
            slots=change(source.slots, sentences, slots),
            query_inputs=change(source.query_inputs, rows, steps),
            gate_inputs=changed(change, source.gate_inputs, rows, steps),
            mask=changed(change, source.mask, sentences, slots),
        )

    def of_saved(self, change: Change, saved: SavedForBackward) -> SavedForBackward:
        """``change`` of every tensor in ``SavedForBackward``, for all rows."""
        return saved._replace(
            activations=self.of_steps(change, saved.activations),
            weights=mapped(change, saved.weights),
            source_keys=changed(change, saved.source_keys, self.sentences, self.slots),
            source_slots=changed(change, saved.source_slots, self.sentences, self.slots),
            distance_bias=changed(change, saved.distance_bias),
            rows=None,  # how many rows still have a step differs from batch to batch
        )

    def of_steps(self, change: Change, parts: StepsT) -> StepsT:
        """``change`` of every tensor in ``SavedActivations`` or ``Results``."""
        columns = {"attention": [self.steps], "source_attention": [self.slots]}
        fields = zip(parts._fields, parts)
        return type(parts)(
            *(
                changed(change, part, self.rows, self.steps, *columns.get(name, []))
                for name, part in fields
            )
        )


def changed(change: Change, part: Tensor | None, *more: int) -> Any:
    """``change(part, *more)``; None of None."""
    return None if part is None else change(part, *more)


def corner(tensor: Tensor, *more: int) -> Tensor:
    """``tensor`` without what its first dimensions have more."""
    return tensor[tuple(slice(size - count) for size, count in zip(tensor.shape, more))]
