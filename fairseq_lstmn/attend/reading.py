"""One line of text as a model has read it, and what every picture shows of it: plain data.

T tokens of the text that attends (queries), S tokens of the text that is attended (keys).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]
Row = TypeVar("Row", list[float], NDArray[Any])  # a token's weights, in any form

FORWARD, BACKWARD, ACROSS = "forward", "backward", "across"
LINKS = 3  # of a token that are drawn at most
DEEP = 0.65  # a shade from which on words stand in the colour of paper


class Link(NamedTuple):
    """From one token to another that it attends."""

    t: int
    s: int
    weight: float
    strongest: bool  # of its row


class Map(NamedTuple):
    """The attention of one layer in one direction, in the order of the text.

    Within a text (``queries`` equals ``keys``) token t attends those before it, or in backward
    direction those behind it; the first (or last) has none to attend. Across, it attends all.
    """

    part: str  # of the model: text, premise, hypothesis, encoder, decoder, fusion
    layer: int  # from 1
    direction: str  # FORWARD, BACKWARD or ACROSS
    queries: str  # name of the text whose tokens attend
    keys: str  # name of the text whose tokens are attended
    weights: FloatArray  # (T, S), zero where a token may not look
    is_lstm: bool = False  # the layer has no tape: each token attends its neighbour, by 1.00

    @property
    def title(self) -> str:
        """What tells it from the reading's other maps."""
        direction = ", backward" if self.direction == BACKWARD else ""
        lstm = " (LSTM)" if self.is_lstm else ""
        return f"{self.part}, layer {self.layer}{direction}{lstm}"

    @overload
    def rows(self) -> list[FloatArray]: ...

    @overload
    def rows(self, weights: Iterable[Row]) -> list[Row]: ...

    def rows(self, weights: Iterable[Any] | None = None) -> list[Any]:
        """For each token the part of its row of weights (T, S), or of others, where it may look."""
        weights = self.weights if weights is None else weights
        if self.direction == FORWARD:
            return [row[:t] for t, row in enumerate(weights)]
        if self.direction == BACKWARD:
            return [row[t + 1 :] for t, row in enumerate(weights)]
        return list(weights)

    @property
    def top(self) -> float:
        """The weight where the shades end: a typical row's strongest link stands at half of it."""
        peaks = [row.max() for row in self.rows() if len(row)]
        return min(1.0, max(0.02, round(2 * float(np.median(peaks)), 2))) if peaks else 1.0

    def links(self) -> list[Link]:
        """Each token's ``LINKS`` strongest; the weakest first, over which the others are drawn."""
        links = [
            Link(t, s, float(row[s]), rank == 0)
            for t, row in enumerate(self.weights)
            for rank, s in enumerate(row.argsort()[::-1][:LINKS].tolist())
            if row[s] > 0
        ]
        return sorted(links, key=lambda link: link.weight)


class Reading(NamedTuple):
    """A line's texts (tokens by name) and maps; or why there are none."""

    texts: dict[str, list[str]] = {}
    maps: list[Map] = []
    unknown: dict[str, list[int]] = {}  # which tokens of a text the model does not know
    surprisals: dict[str, list[float | None]] = {}  # in bits, of a text's tokens
    probabilities: dict[str, float] = {}  # by class
    values: dict[str, float] = {}  # that regression predicts, by name
    alignment: list[int] = []  # which token of the source a token of the target attends most
    line: int = 0  # number in the input, from 1
    error: str | None = None

    def checked(self) -> Reading:
        """The reading, or its error if some weight or probability is not finite."""
        if not all(np.isfinite(attention.weights).all() for attention in self.maps):
            return Reading(error="the model's attention is not a number (NaN)")
        bits = [value for row in self.surprisals.values() for value in row if value is not None]
        if not np.isfinite([*bits, *self.probabilities.values()]).all():
            return Reading(error="the model's probabilities are no numbers (NaN or 0)")
        if not np.isfinite([*self.values.values()]).all():
            return Reading(error="the model's answer is not a number (NaN)")
        return self

    @property
    def informative_maps(self) -> list[Map]:
        """Those of layers with a tape, and to a source; all where there are none of these."""
        return [attention for attention in self.maps if not attention.is_lstm] or self.maps

    @property
    def opening(self) -> int:
        """Which of the maps to begin with: the topmost informative one of the first text."""
        first = self.informative_maps[0]
        alike = [m for m in self.informative_maps if m[:1] + m[2:5] == first[:1] + first[2:5]]
        return next(k for k, attention in enumerate(self.maps) if attention is alike[-1])
