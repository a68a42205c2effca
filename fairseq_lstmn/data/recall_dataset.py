"""Associative recall as a dataset of fairseq's, made while it is read."""

import numpy as np
import torch
from fairseq.data import Dictionary, FairseqDataset
from numpy.typing import NDArray

from fairseq_lstmn.data import Sample
from fairseq_lstmn.data.recall import Recall


class RecallDataset(FairseqDataset):
    """``size`` examples of a stream; of one for training the next ones in every epoch.

    An item is the number of an example, and ``collater`` makes a whole batch at once.

    Args:
        recall: what is to be recalled, a ``Recall``.
        start: of the stream (see ``counted_random``).
        dictionary: the one of ``recall``.
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
        self._be_of(epoch=1)

    def set_epoch(self, epoch: int) -> None:
        if self.trains:
            self._be_of(epoch)

    def _be_of(self, epoch: int) -> None:
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

    def num_tokens_vec(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.sizes[indices]

    def size(self, index: int) -> int:
        return int(self.sizes[index])
