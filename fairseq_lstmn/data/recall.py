"""Associative recall: n pairs ``k1 v1 ... kn vn``, then all n keys in another order.

At every key of the second part its value is to be said. An example is a function of its stream and
its number alone, so any of them can be drawn at once, in any order.

B examples, N the most pairs of a batch, n those of an example, K keys, V values, C columns.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from fairseq.data import Dictionary, FairseqDataset
from numpy.typing import ArrayLike, NDArray

from fairseq_lstmn.data import Sample

EASY = 4  # pairs

# SplitMix64's: numpy has no generator whose number at a position is as cheap, and examples drawn
# by another would be others than the documented results are of
STEP = 0x9E3779B97F4A7C15
ROUNDS = (30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)
LAST_SHIFT = 31


def stream(*words: int) -> NDArray[np.uint64]:
    """The start of a stream of its own for such ``words``, whole numbers from 0 on."""
    return np.asarray(np.random.SeedSequence(words).generate_state(1, np.uint64), dtype=np.uint64)


def random_bits(start: NDArray[np.uint64], rows: ArrayLike, columns: int) -> NDArray[np.uint64]:
    """(B, C) random numbers of 64 bits, C ``columns`` for each of the numbers ``rows`` (B).

    SplitMix64 (Steele, Lea & Flood 2014), whose state at a position is a product.
    """
    rows = np.asarray(rows, dtype=np.uint64)[:, None]
    position = rows * np.uint64(columns) + np.arange(1, columns + 1, dtype=np.uint64)
    mixed = start + position * np.uint64(STEP)
    for shift, factor in ROUNDS:
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(LAST_SHIFT))


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

        All but the answers is padding among the targets.
        """
        bits = self._bits(start, numbers)
        n = self._pairs(bits)[:, None]
        longest = int(n.max())
        for_keys, for_values, for_order = np.split(bits[:, 1:], [self.keys, -self.most], axis=1)
        is_pair = np.arange(longest) < n
        keys = for_keys.argsort(axis=1)[:, :longest] + dictionary.index("k0")
        values = (for_values[:, :longest] % self.values).astype(np.int64) + dictionary.index("v0")
        last = np.iinfo(np.uint64).max
        order = np.where(is_pair, for_order[:, :longest], last).argsort(axis=1)[is_pair]

        rows, columns = is_pair.nonzero()
        tokens = np.full((len(n), 3 * longest), dictionary.pad())
        targets = tokens.copy()
        tokens[rows, 2 * columns] = keys[is_pair]
        tokens[rows, 2 * columns + 1] = values[is_pair]
        questions = rows, 2 * n[rows, 0] + columns
        tokens[questions] = keys[rows, order]
        targets[questions] = values[rows, order]
        return tokens, targets

    def _bits(self, start: NDArray[np.uint64], numbers: ArrayLike) -> NDArray[np.uint64]:
        return random_bits(start, numbers, 1 + self.keys + 2 * self.most)

    def _pairs(self, bits: NDArray[np.uint64]) -> NDArray[np.int64]:
        return self.fewest + (bits[:, 0] % (self.most - self.fewest + 1)).astype(np.int64)


class RecallDataset(FairseqDataset):
    """``size`` examples of a stream; of one for training the next ones in every epoch.

    An item is the number of an example, and ``collater`` draws a whole batch at once.

    Args:
        recall: what is to be recalled.
        start: of the ``stream``.
        dictionary: the one of ``recall``.
        size: examples of an epoch.
        trains: whether it is for training.
        growth: epochs until training examples may have twice as many pairs; 0 for no such limit.
    """

    can_reuse_epoch_itr_across_epochs = False  # an epoch has examples of its own

    def __init__(
        self,
        recall: Recall,
        start: NDArray[np.uint64],
        dictionary: Dictionary,
        size: int,
        trains: bool,
        growth: int = 0,
    ) -> None:
        self.whole, self.start, self.dictionary = recall, start, dictionary
        self.size_of_epoch, self.trains, self.growth = size, trains, growth
        self._draw_epoch(1)

    def set_epoch(self, epoch: int) -> None:
        if self.trains:
            self._draw_epoch(epoch)

    def _draw_epoch(self, epoch: int) -> None:
        size = self.size_of_epoch
        self.recall = self.whole.of_epoch(epoch, self.growth)
        self.numbers = np.arange((epoch - 1) * size, epoch * size)
        self.sizes: NDArray[np.int64] = 3 * self.recall.pairs(self.start, self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> int:
        return int(self.numbers[index])

    def collater(self, samples: list[int]) -> Sample:
        """A batch as of fairseq's language modelling; its tokens to be counted are the answers."""
        if not samples:
            return {}
        tokens, targets = self.recall.examples(self.start, samples, self.dictionary)
        pad = self.dictionary.pad()
        return {
            "id": torch.tensor(samples),
            "nsentences": len(samples),
            "ntokens": int((targets != pad).sum()),
            "net_input": {
                "src_tokens": torch.from_numpy(tokens),
                "src_lengths": torch.from_numpy((tokens != pad).sum(axis=1)),
            },
            "target": torch.from_numpy(targets),
        }

    def ordered_indices(self) -> NDArray[np.int64]:
        """From short to long, so that a batch has little padding."""
        return self.sizes.argsort(kind="stable")

    def num_tokens(self, index: int) -> int:
        return int(self.sizes[index])

    size = num_tokens

    def num_tokens_vec(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.sizes[indices]
