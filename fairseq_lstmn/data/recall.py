"""Examples of associative recall: n pairs ``k1 v1 ... kn vn``, then all n keys in another order.

At every key of the second part its value is to be said. B examples, N the most pairs of a batch,
n those of an example, K keys, V values.
"""

from dataclasses import dataclass, replace

import numpy as np
from fairseq.data import Dictionary
from numpy.typing import ArrayLike, NDArray

from fairseq_lstmn.data.counted_random import bits

EASY = 4  # pairs


@dataclass(frozen=True)
class Recall:
    """What is to be recalled.

    Attributes:
        fewest, most: pairs of an example, any number from one to the other equally often.
        keys, values: how many there are; an example's keys differ, its values may be the same.
    """

    fewest: int
    most: int
    keys: int
    values: int

    def dictionary(self) -> Dictionary:
        """fairseq's of the keys ``k0``, ``k1``, ... and the values ``v0``, ``v1``, ..."""
        dictionary = Dictionary()
        for kind, count in (("k", self.keys), ("v", self.values)):
            for number in range(count):
                dictionary.add_symbol(f"{kind}{number}")
        return dictionary

    def of_epoch(self, epoch: int, growth: int) -> "Recall":
        """What is to be recalled in an epoch, counted from 1: not the most pairs from the start.

        At most EASY in the first ``growth`` epochs, then twice as many, and so on; all if it is 0.
        """
        if growth == 0:
            return self
        reached = EASY * 2 ** ((epoch - 1) // growth)
        return replace(self, most=max(self.fewest, min(self.most, reached)))

    def pairs(self, start: NDArray[np.uint64], numbers: ArrayLike) -> NDArray[np.int64]:
        """How many pairs (B) the examples ``numbers`` (B) of a stream have."""
        return self._pairs(self._bits(start, numbers))

    def examples(
        self, start: NDArray[np.uint64], numbers: ArrayLike, dictionary: Dictionary
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Tokens and targets (B, 3 N), right-padded, of the examples ``numbers`` (B) of a stream.

        Each depends on the stream's ``start`` and its own number alone. All but the answers is
        padding among the targets.
        """
        drawn = self._bits(start, numbers)
        n = self._pairs(drawn)[:, None]
        longest = int(n.max())
        for_keys, for_values, for_order = np.split(drawn[:, 1:], [self.keys, -self.most], axis=1)
        there = np.arange(longest) < n
        keys = for_keys.argsort(axis=1)[:, :longest] + dictionary.index("k0")
        values = (for_values[:, :longest] % self.values).astype(np.int64) + dictionary.index("v0")
        last = np.iinfo(np.uint64).max
        order = np.where(there, for_order[:, :longest], last).argsort(axis=1)[there]

        rows, columns = there.nonzero()
        tokens = np.full((len(n), 3 * longest), dictionary.pad())
        targets = tokens.copy()
        tokens[rows, 2 * columns] = keys[there]
        tokens[rows, 2 * columns + 1] = values[there]
        questions = rows, 2 * n[rows, 0] + columns
        tokens[questions] = keys[rows, order]
        targets[questions] = values[rows, order]
        return tokens, targets

    def _bits(self, start: NDArray[np.uint64], numbers: ArrayLike) -> NDArray[np.uint64]:
        return bits(start, numbers, 1 + self.keys + 2 * self.most)

    def _pairs(self, drawn: NDArray[np.uint64]) -> NDArray[np.int64]:
        return self.fewest + (drawn[:, 0] % (self.most - self.fewest + 1)).astype(np.int64)
