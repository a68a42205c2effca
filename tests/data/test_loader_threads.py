import subprocess
import sys

from fairseq.data import iterators

from fairseq_lstmn.data import loader_threads
from tests.fairseq_commands import CHECKOUT

LEAVES_BATCHES_BEHIND = """
import torch
from fairseq.data import iterators
import fairseq_lstmn

class Endless:
    def __len__(self):
        return 10**6

    def __iter__(self):
        while True:
            yield torch.nn.utils.rnn.pad_sequence([torch.randn(50) for _ in range(200)])

batches = iterators.BufferedIterator(10, Endless())
next(batches)
"""


def test_a_process_ends_well_before_its_batches_do():
    """Without the mend nearly every such process aborts."""
    command = [sys.executable, "-c", LEAVES_BATCHES_BEHIND]
    result = subprocess.run(command, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 0, result.stderr


def test_a_full_queue_keeps_no_thread():
    batches = iterators.BufferedIterator(1, range(100))
    assert next(batches) == 0
    loader_threads.end(batches)
    assert not batches._consumer.is_alive()


def test_all_batches_are_read():
    assert list(iterators.BufferedIterator(3, range(100))) == list(range(100))
