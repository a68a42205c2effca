"""Blocks of one long text, batched so that every row goes on where it ended in the last batch."""

from fairseq.data import BaseWrapperDataset

from fairseq_lstmn.data import Sample


class ContiguousBlocks(BaseWrapperDataset):
    """Consecutive blocks of text cut into streams, a batch row each.

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
            mine = zip(bounds[shard:-1:shards], bounds[shard + 1 :: shards])
            return [first + t for first, end in mine if first + t < end]

        steps = length + (longer > 0)
        return [batch(t, shard) for t in range(steps) for shard in range(shards)]

    def collater(self, samples: list[Sample]) -> Sample:
        """fairseq's batch (empty for a shard whose streams have ended) with ``continues``."""
        batch: Sample = self.dataset.collater(samples)
        if samples:
            batch["net_input"]["continues"] = samples[0]["id"] not in self.first
        return batch
