"""Attention within a text on the whole: over distance, on the nearest token, and how spread.

T tokens of a text, D distances that are told apart.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fairseq_lstmn.attend.outputs.summary.entries import MapEntry
from fairseq_lstmn.attend.reading import Map

Floats: TypeAlias = NDArray[np.float64]
Means: TypeAlias = Floats  # by number of places (a bin) and distance

FARTHEST = 50  # D; all farther tokens are counted together


class Distances:
    """Sums over the maps of one layer and direction.

    Rows with one token to attend say nothing and are left out.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.nearest = self.strongest = self.entropy = self.share_of_uniform = 0.0
        self.weights = np.zeros((_BINS, FARTHEST + 2))  # by number of places and distance
        self.places = np.zeros((_BINS, FARTHEST + 2))

    def add(self, found: Map) -> None:
        """Add a ``Map`` within a text."""
        rows = found.rows()
        backward = len(rows[0]) > 0
        for row in (row.astype(float) for row in rows if len(row) > 1):
            towards = row if backward else row[::-1]  # from the nearest on
            entropy = -float((row[row > 0] * np.log2(row[row > 0])).sum())
            self.rows += 1
            self.nearest += towards[0]
            self.strongest += row.max()
            self.entropy += entropy
            self.share_of_uniform += entropy / np.log2(len(row))
            distances = np.arange(1, len(row) + 1).clip(max=FARTHEST + 1)
            size = FARTHEST + 2
            self.weights[bin_of(len(row))] += np.bincount(distances, towards, size)
            self.places[bin_of(len(row))] += np.bincount(distances, minlength=size)

    def result(self) -> MapEntry:
        """As JSON has it."""
        by_distance = _ratio(self.weights.sum(axis=0), self.places.sum(axis=0))
        seen = self.places.sum(axis=0)[1:-1] > 0
        rows = max(1, self.rows)
        return {
            "rows": self.rows,
            "weight on the nearest": round(self.nearest / rows, 4),
            "weight on the strongest": round(self.strongest / rows, 4),
            "entropy in bits": round(self.entropy / rows, 4),
            "entropy as share of uniform": round(self.share_of_uniform / rows, 4),
            "mean weight by distance": [round(w, 5) for w in by_distance[1:-1][seen].tolist()],
            "mean weight farther": round(float(by_distance[-1]), 5),
        }

    def means(self) -> Means:
        """The mean weight by number of places (a bin) and distance: what chance expects."""
        return _ratio(self.weights, self.places)


def bin_of(places: int) -> int:
    """Rows of 2, 3 to 4, 5 to 8, ... places are expected to be alike."""
    return int(np.ceil(np.log2(places)))


_BINS = bin_of(1000) + 1


def _ratio(sums: Floats, counts: Floats) -> Floats:
    return np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
