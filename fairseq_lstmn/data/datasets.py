"""fairseq's datasets with what they lack: text that goes on, and pairs of sentences.

B batch, S premise length, T hypothesis length, n joined length.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from fairseq.data import BaseWrapperDataset, Dictionary, FairseqDataset, data_utils
from numpy.typing import NDArray
from torch import Tensor

from fairseq_lstmn.data import Sample

PREMISE = "src_tokens", "src_lengths"
HYPOTHESIS = "hypothesis_tokens", "hypothesis_lengths"
CONTINUES = "continues"


class ContiguousBlocks(BaseWrapperDataset):
    """Consecutive blocks of one long text cut into streams, a batch row each.

    ``batches`` cuts them; the net input of every batch then says under ``continues`` whether
    its rows go on from the batch before.
    """

    def batches(self, rows: int, shards: int = 1) -> list[list[int]]:
        """Lists of block indices; batch ``t * shards + k`` is step t of shard k's ``rows`` streams.

        Streams differ by one block at most and the longer ones come first, so that the last
        batch of a shard may hold its first rows only, or none.
        """
        streams = min(rows * shards, len(self))
        length, longer = divmod(len(self), streams)
        bounds = [k * length + min(k, longer) for k in range(streams + 1)]
        self.first = set(bounds[:-1])

        def batch(t: int, shard: int) -> list[int]:
            of_shard = zip(bounds[shard:-1:shards], bounds[shard + 1 :: shards])
            return [first + t for first, end in of_shard if first + t < end]

        steps = length + (longer > 0)
        return [batch(t, shard) for t in range(steps) for shard in range(shards)]

    def collater(self, samples: list[Sample]) -> Sample:
        """fairseq's batch (empty for a shard whose streams have ended) with ``continues``."""
        batch: Sample = self.dataset.collater(samples)
        if samples:
            batch["net_input"][CONTINUES] = samples[0]["id"] not in self.first
        return batch


class InOrder(BaseWrapperDataset):
    """Examples in the order of the text, where fairseq's language models have them by length."""

    def ordered_indices(self) -> NDArray[np.int64]:
        return np.arange(len(self))


class SentencePairs(BaseWrapperDataset):
    """``sentence_prediction``'s batches with premise and hypothesis as two right-padded tensors.

    fairseq's rows are a premise and a hypothesis, each with its end.
    """

    def __init__(self, dataset: FairseqDataset, dictionary: Dictionary) -> None:
        super().__init__(dataset)
        self.pad, self.eos = dictionary.pad(), dictionary.eos()

    def collater(self, samples: list[Sample]) -> Sample:
        """fairseq's batch; its net input has premises (B, S) and hypotheses (B, T) apart."""
        batch: Sample = self.dataset.collater(samples)
        if "net_input" in batch:
            net_input = batch["net_input"]
            rows = zip(*(net_input[name] for name in PREMISE))
            pairs = [self.split(row[:length]) for row, length in rows]
            net_input.update(collate_sentences(pairs, self.pad))
        return batch

    def split(self, row: Tensor) -> tuple[Tensor, Tensor]:
        """A row (n,) without padding, behind its first sentence's end."""
        end = int((row == self.eos).nonzero()[0]) + 1
        return row[:end], row[end:]


def collate_sentences(rows: Iterable[Sequence[Tensor]], pad: int) -> dict[str, Tensor]:
    """Rows of one or two token sequences (n,) as arguments of a model, right-padded."""
    arguments = {}
    for (tokens, lengths), sentences in zip((PREMISE, HYPOTHESIS), zip(*rows)):
        arguments[tokens] = data_utils.collate_tokens(sentences, pad)
        arguments[lengths] = torch.tensor([len(sentence) for sentence in sentences])
    return arguments
