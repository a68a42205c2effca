"""What graphs ask of CUDA: a stream and memory to record in, and launches that take turns."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch

RECORDING = Lock()  # torch allows one recording at a time in a process


def is_capturing(device: torch.device) -> bool:
    """Whether somebody records what goes into the current stream of ``device``."""
    with torch.cuda.device(device):
        return torch.cuda.is_current_stream_capturing()


def precision() -> str:
    """What float32 products are on CUDA: "tf32", or IEEE's under one of several names."""
    since_torch_2_9: str | None = getattr(torch.backends.cuda.matmul, "fp32_precision", None)
    return since_torch_2_9 or torch.get_float32_matmul_precision()


class Cuda:
    """A device with a stream and a pool of memory for recordings, and an event behind launches.

    All that a recording works in stands in the pool, cuBLAS's workspace of the stream too. Torch
    frees a workspace whenever a graph of its stream goes (pytorch issue 193402), and the threads
    and compilers of others free them as well. Memory that is freed in the pool is not unmapped as
    long as a recording is left, and nobody but recordings gets it: what these leave there is of
    use in their own turn only.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.launched = torch.cuda.Event()
        self.free()

    def is_capturing(self) -> bool:
        """Whether a pass would go into the caller's own graph."""
        return is_capturing(self.device)

    def settings(self) -> str:
        """What a recording fixes beside shapes."""
        return precision()

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """What goes into the current stream here runs behind what went in during earlier turns."""
        stream = torch.cuda.current_stream(self.device)
        stream.wait_event(self.launched)
        try:
            yield
        finally:
            self.launched.record(stream)

    def finish(self) -> None:
        """Wait until nothing that was launched is under way."""
        self.launched.synchronize()

    def free(self) -> None:
        """Leave the stream and the memory to the recordings there, which have to go together."""
        # one stream, as libraries have memory for each that they have seen
        self.aside: torch.cuda.Stream | None = None
        self.pool: torch.cuda.MemPool | None = None

    def record(self, function: Callable[[], object]) -> Callable[[], None]:
        """What launches ``function()`` again. In turn: it runs once, too.

        What other threads ask of CUDA meanwhile does not spoil it. After one that fails the
        stream, whatever state that is in, and the pool are to be freed.
        """
        current = torch.cuda.current_stream(self.device)
        self.aside = aside = self.aside or torch.cuda.Stream(self.device)
        aside.wait_stream(current)
        graph = torch.cuda.CUDAGraph()
        with RECORDING, torch.cuda.stream(aside):
            self.pool = pool = self.pool or torch.cuda.MemPool()
            with torch.cuda.use_mem_pool(pool, self.device):
                function()  # what libraries set up for a stream cannot be recorded
            handle: Any = pool.id  # a NewType of torch's
            with torch.cuda.graph(
                graph, pool=handle, stream=aside, capture_error_mode="thread_local"
            ):
                function()
        current.wait_stream(aside)
        return graph.replay
