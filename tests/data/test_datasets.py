"""Blocks of text in streams, for every number of shards; pairs come apart as they were joined."""

import pytest
import torch
from fairseq.data import BaseWrapperDataset, Dictionary
from hypothesis import given
from hypothesis import strategies as st

from fairseq_lstmn.data.datasets import ContiguousBlocks, SentencePairs


class Blocks(list):
    """A dataset of ``{"id": k}``; its batches list the ids."""

    def __init__(self, count):
        super().__init__({"id": k} for k in range(count))

    def collater(self, samples):
        return {"ids": [sample["id"] for sample in samples], "net_input": {}} if samples else {}


def shard_batches(count, rows, shards, shard):
    dataset = ContiguousBlocks(Blocks(count))
    return [
        dataset.collater([dataset[k] for k in batch])
        for batch in dataset.batches(rows, shards)[shard::shards]
    ]


@given(count=st.integers(1, 40), rows=st.integers(1, 9), shards=st.integers(1, 4))
def test_every_block_is_read_once_and_rows_go_on(count, rows, shards):
    seen = []
    for shard in range(shards):
        before = None
        for batch in filter(None, shard_batches(count, rows, shards, shard)):
            seen += batch["ids"]
            assert len(batch["ids"]) <= rows
            assert batch["net_input"]["continues"] == (before is not None)
            if before is not None:
                expected = [k + 1 for k in before[: len(batch["ids"])]]
                assert batch["ids"] == expected
            before = batch["ids"]
    assert sorted(seen) == list(range(count))


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_shards_have_equally_many_batches(shards):
    dataset = ContiguousBlocks(Blocks(31))
    assert len(dataset.batches(4, shards)) % shards == 0


class Joined(BaseWrapperDataset):
    """A dataset that hands on its own batch."""

    def collater(self, samples):
        return dict(samples) and self.dataset


def test_sentences_are_padded_each_for_itself():
    words = Dictionary()
    pad, eos = words.pad(), words.eos()
    tokens = torch.tensor([[7, 8, eos, 9, eos, pad], [7, eos, 8, 9, 6, eos]])
    joined = {"net_input": {"src_tokens": tokens, "src_lengths": torch.tensor([5, 6])}, "id": 1}
    batch = SentencePairs(Joined(joined), words).collater({"any": 1})
    net_input = {name: part.tolist() for name, part in batch["net_input"].items()}
    assert net_input == {
        "src_tokens": [[7, 8, eos], [7, eos, pad]],
        "src_lengths": [3, 2],
        "hypothesis_tokens": [[9, eos, pad, pad], [8, 9, 6, eos]],
        "hypothesis_lengths": [2, 4],
    }
    assert batch["id"] == 1


def test_an_empty_batch_stays_empty():
    assert SentencePairs(Joined({}), Dictionary()).collater({"any": 1}) == {}
