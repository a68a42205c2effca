"""Attention from one text to another on the whole: how spread it is."""

import numpy as np

from fairseq_lstmn.attend.outputs.summary.entries import MapEntry
from fairseq_lstmn.attend.reading import Map


class Sources:
    """Sums over the maps of one layer's attention to a source."""

    def __init__(self) -> None:
        self.rows, self.strongest, self.entropy, self.share_of_uniform = 0, 0.0, 0.0, 0.0

    def add(self, found: Map) -> None:
        """Add a ``Map`` across texts."""
        weights = found.weights.astype(float)
        logarithms = np.log2(weights, out=np.zeros_like(weights), where=weights > 0)
        entropies = -(weights * logarithms).sum(axis=1)
        self.rows += len(weights)
        self.strongest += weights.max(axis=1).sum()
        self.entropy += entropies.sum()
        self.share_of_uniform += (entropies / max(1.0, np.log2(weights.shape[1]))).sum()

    def result(self) -> MapEntry:
        """As JSON has it."""
        rows = max(1, self.rows)
        return {
            "rows": self.rows,
            "weight on the strongest": round(self.strongest / rows, 4),
            "entropy in bits": round(self.entropy / rows, 4),
            "entropy as share of uniform": round(self.share_of_uniform / rows, 4),
        }
