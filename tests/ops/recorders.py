"""What records passes in tests: CUDA where there is a device, else a stand-in."""

from contextlib import contextmanager
from threading import Lock

import torch

from fairseq_lstmn.ops.triton import graphs

from .cases import DEVICE


def device_to_record_on():
    return graphs.Cuda(torch.device("cuda", 0)) if DEVICE == "cuda" else StandIn()


def counts(recorder):
    """How many passes are recorded, and of how many that are not it is known that they came."""
    return len(recorder.recorded), len(recorder.came)


class StandIn:
    """As ``graphs.Cuda``, which needs a device: a launch calls the pass again.

    After a turn nothing is left of the results, as when others use their memory.
    """

    def __init__(self):
        self.capturing = False
        self.precision = "ieee"
        self.turns = Lock()
        self.written = []  # the results of the launch whose turn it is
        self.waited = 0  # times

    def is_capturing(self):
        return self.capturing

    def settings(self):
        return self.precision

    @contextmanager
    def in_turn(self):
        assert self.turns.acquire(blocking=False), "two launches at a time"
        yield
        for place in self.written:
            place.fill_(float("nan"))
        self.written = []
        self.turns.release()

    def finish(self):
        self.waited += 1

    def record(self, function, pool):
        results = function()

        def replay():
            assert self.turns.locked(), "a launch out of turn"
            self.written = list(graphs.tensors_in(results))
            for place, made in zip(self.written, graphs.tensors_in(function())):
                place.copy_(made)

        return graphs.Recording(replay, results, pool or object())
