"""What ``graphs`` ask of a CUDA device: to record passes, launch them in turn, and free them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch

from fairseq_lstmn.ops.triton.graphs import Graphs, Recording

RECORDING = Lock()  # torch allows one recording at a time in a process
_graphs: dict[torch.device, Graphs] = {}
_graphs_lock = Lock()


def graphs_of(device: torch.device) -> Graphs:
    """The ``Graphs`` of ``device``."""
    with _graphs_lock:
        if device not in _graphs:
            _graphs[device] = Graphs(Cuda(device))
        return _graphs[device]


def free_graphs(device: str | torch.device | None = None) -> None:
    """Give back the memory of what training has recorded on ``device``, or on all of them.

    Training that goes on records anew what it needs.
    """
    for its_device, graphs in list(_graphs.items()):
        if device is None or torch.device(device) in (its_device, torch.device("cuda")):
            graphs.free()


def is_capturing(device: torch.device) -> bool:
    """Whether somebody records what the current stream of ``device`` is given."""
    with torch.cuda.device(device):
        return torch.cuda.is_current_stream_capturing()


def precision() -> str:
    """What float32 products are on CUDA: "tf32", or IEEE's under one of several names."""
    since_torch_2_9: str | None = getattr(torch.backends.cuda.matmul, "fp32_precision", None)
    return since_torch_2_9 or torch.get_float32_matmul_precision()


class Cuda:
    """A device with a stream aside for recordings and an event behind the latest launch."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.launched = torch.cuda.Event()
        # one stream, as libraries keep memory for each that they have seen
        self.aside: torch.cuda.Stream | None = None

    def is_capturing(self) -> bool:
        """Whether a pass would go into the caller's own graph."""
        return is_capturing(self.device)

    def settings(self) -> str:
        """What a recording fixes beside shapes."""
        return precision()

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """What the current stream is given here runs behind what earlier turns were given."""
        stream = torch.cuda.current_stream(self.device)
        stream.wait_event(self.launched)
        try:
            yield
        finally:
            self.launched.record(stream)

    def finish(self) -> None:
        """Wait until nothing that was launched is under way."""
        self.launched.synchronize()

    def record(self, function: Callable[[], Any], pool: Any) -> Recording:
        """A ``Recording`` of ``function()`` in the memory of ``pool``, or of a new one for None.

        What other threads ask of CUDA meanwhile does not spoil it. One that fails is ended, and
        its stream, whatever state that is in, not used again.
        """
        current = torch.cuda.current_stream(self.device)
        aside, self.aside = self.aside or torch.cuda.Stream(self.device), None
        aside.wait_stream(current)
        graph = torch.cuda.CUDAGraph()
        with RECORDING, torch.cuda.stream(aside):
            function()  # what libraries set up for a stream cannot be recorded
            with torch.cuda.graph(
                graph, pool=pool, stream=aside, capture_error_mode="thread_local"
            ):
                results = function()
        current.wait_stream(aside)
        self.aside = aside
        return Recording(graph.replay, results, graph.pool())
