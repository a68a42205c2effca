"""How many passes run as recorded graphs where fairseq makes batches of so many tokens.

N sentence pairs, B batch, S source length, T target length.
"""

import numpy as np
import pytest
import torch
from fairseq.data.data_utils import batch_by_size

from fairseq_lstmn.ops.triton.buckets import Padding, round_up

from .test_graphs import StandIn

PAIRS = 160_000  # as many as IWSLT'14 has from German to English
EPOCHS = 3


def test_round_up():
    sizes = [round_up(size) for size in range(26)]
    assert sizes == [0, 1, 2, 3, 4, 6, 6, 8, 8, *[12] * 4, *[16] * 4, *[24] * 8, 32]


@pytest.fixture(scope="module")
def lengths():
    """(2, N), source and target with their end of a sentence, of which half have 21 or fewer."""
    random = np.random.RandomState(0)
    source = np.exp(random.normal(np.log(20), 0.62, PAIRS))
    target = source * np.exp(random.normal(np.log(0.97), 0.2, PAIRS))
    return np.stack([source, target]).clip(1, 174).round().astype(int) + 1


def batches(lengths, max_tokens):
    """(B, S, T) and the tokens of both sides, of fairseq's batches in the order of lengths."""
    order = np.lexsort((lengths[1], lengths[0]))
    longest = lengths.max(axis=0)
    rows = batch_by_size(*(order, None, longest[order], max_tokens), required_batch_size_multiple=8)
    return [
        (len(row), *map(int, lengths[:, row].max(axis=1)), int(lengths[:, row].sum()))
        for row in rows
    ]


def in_buckets(batch, source, target):
    """(B, S, T) as they are recorded."""
    queries, keys = (torch.empty(batch, n, 1, device="meta") for n in (target, source))
    more = Padding.of(queries, keys)
    return batch + more.rows, source + more.slots, target + more.steps


def in_eights(batch, source, target):
    return batch, -(-source // 8) * 8, -(-target // 8) * 8


def share_without_graphs(shapes):
    """Of the passes of ``EPOCHS``, an encoder's and a decoder's, forward and backward."""
    recorder, in_graphs = StandIn().graphs, []
    random = np.random.RandomState(1)

    def nothing(*shape):
        pass

    for _ in range(EPOCHS):
        for number in random.permutation(len(shapes)):
            batch, source, target = shapes[number]
            for name in "forward", "backward":
                for shape in ((name, batch, source), (name, batch, source, target)):
                    recorder.run(nothing, (), shape, in_graphs.append)
    return 1 - len(in_graphs) / (4 * EPOCHS * len(shapes))


def steps_a_token(sizes, shapes):
    """How many steps of rows are computed for each token, on both sides."""
    steps = sum(batch * (source + target) for batch, source, target in shapes)
    return steps / sum(tokens for *_, tokens in sizes)


@pytest.mark.parametrize(
    "max_tokens, change, without, steps",
    [
        (4000, in_eights, 0.347, 1.17),
        (1000, in_buckets, 0.008, 1.24),
        (4000, in_buckets, 0.022, 1.41),
        (12000, in_buckets, 0.034, 1.53),
    ],
)
def test_passes_without_graphs_and_the_arithmetic_of_padding(
    lengths, max_tokens, change, without, steps
):
    """What ``round_up`` and ``graphs.LIMIT`` are chosen for; multiples of eight are no match."""
    sizes = batches(lengths, max_tokens)
    shapes = [change(*size) for *size, _ in sizes]
    assert share_without_graphs(shapes) == pytest.approx(without, abs=1e-3)
    assert steps_a_token(sizes, shapes) == pytest.approx(steps, abs=1e-2)
