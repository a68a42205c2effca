"""Pairs of sentences that fairseq has joined, apart again.

B batch, S premise length, T hypothesis length, n joined length.
"""

from collections.abc import Iterable, Sequence

import torch
from fairseq.data import BaseWrapperDataset, Dictionary, FairseqDataset, data_utils
from torch import Tensor

from fairseq_lstmn.data import Sample

PREMISE = "src_tokens", "src_lengths"
HYPOTHESIS = "hypothesis_tokens", "hypothesis_lengths"


class SentencePairs(BaseWrapperDataset):
    """``sentence_prediction``'s batches with premise and hypothesis as two right-padded tensors.

    Args:
        dataset: fairseq's, whose rows are a premise and a hypothesis, each with its end.
        dictionary: of both.
    """

    def __init__(self, dataset: FairseqDataset, dictionary: Dictionary) -> None:
        super().__init__(dataset)
        self.pad, self.eos = dictionary.pad(), dictionary.eos()

    def collater(self, samples: list[Sample]) -> Sample:
        """fairseq's batch; its net input has premises (B, S) and hypotheses (B, T) apart."""
        batch: Sample = self.dataset.collater(samples)
        if "net_input" not in batch:
            return batch
        net_input = batch["net_input"]
        rows = zip(*(net_input[name] for name in PREMISE))
        pairs = [self.split(row[:length]) for row, length in rows]
        net_input.update(collate(pairs, self.pad))
        return batch

    def split(self, row: Tensor) -> tuple[Tensor, Tensor]:
        """A row (n,) without padding, behind its first sentence's end."""
        end = int((row == self.eos).nonzero()[0]) + 1
        return row[:end], row[end:]


def collate(rows: Iterable[Sequence[Tensor]], pad: int) -> dict[str, Tensor]:
    """Rows of one or two token sequences (n,) as arguments of a model, right-padded."""
    arguments = {}
    for (tokens, lengths), sentences in zip((PREMISE, HYPOTHESIS), zip(*rows)):
        arguments[tokens] = data_utils.collate_tokens(sentences, pad)
        arguments[lengths] = torch.tensor([len(sentence) for sentence in sentences])
    return arguments
