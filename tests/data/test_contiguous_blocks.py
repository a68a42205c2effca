"""Blocks of text in streams: what each batch row sees, for every number of shards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_lstmn.data.contiguous_blocks import ContiguousBlocks


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
