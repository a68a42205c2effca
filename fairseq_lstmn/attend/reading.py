"""One line of text as a model has read it: plain data, whatever the model.

T tokens of the text that attends, S tokens of the text that is attended.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]
Row = TypeVar("Row", list[float], NDArray[Any])  # a token's weights, or what is made of them

FORWARD, BACKWARD, ACROSS = "forward", "backward", "across"


class Map(NamedTuple):
    """The attention of one layer in one direction, in the order of the text.

    Within a text (``asks`` equals ``reads``) token t attends those before it, or in backward
    direction those behind it; the first (or last) has none to attend. Across, it attends all.
    """

    part: str  # of the model: text, premise, hypothesis, encoder, decoder, fusion
    layer: int  # from 1
    direction: str  # FORWARD, BACKWARD or ACROSS
    asks: str  # name of the text whose tokens attend
    reads: str  # name of the text whose tokens are attended
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
        """The reading, or its error if some weight or probability is not a number."""
        if not all(np.isfinite(found.weights).all() for found in self.maps):
            return Reading(error="the model's attention is not a number (NaN)")
        bits = [value for found in self.surprisals.values() for value in found if value is not None]
        if not np.isfinite([*bits, *self.probabilities.values()]).all():
            return Reading(error="the model's probabilities are no numbers (NaN or 0)")
        if not np.isfinite([*self.values.values()]).all():
            return Reading(error="the model's answer is not a number (NaN)")
        return self

    @property
    def telling_maps(self) -> list[Map]:
        """Those of layers with a tape, and to a source; all where there are none of these."""
        return [found for found in self.maps if not found.is_lstm] or self.maps

    @property
    def opening(self) -> int:
        """Which of the maps to begin with: of the first text that says something the top layer."""
        first = self.telling_maps[0]
        alike = [m for m in self.telling_maps if m[:1] + m[2:5] == first[:1] + first[2:5]]
        return next(k for k, found in enumerate(self.maps) if found is alike[-1])

    def only(self, layer: int | None) -> Reading:
        """The reading with the maps of one layer (from 1) only; None keeps all."""
        if layer is None:
            return self
        return self._replace(maps=[found for found in self.maps if found.layer == layer])
