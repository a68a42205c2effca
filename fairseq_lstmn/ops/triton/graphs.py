"""Training passes as CUDA graphs, to spare Python several launches a step.

A pass is a function of nested tuples of tensors and constants that asks a device for nothing
back. It is recorded when arguments of a shape come for the second time, and from then on
launched as one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fairseq_lstmn.ops.types import mapped

LIMIT = 32  # recorded passes: each keeps memory for its arguments and results
IDLE = 1024  # calls until a recorded pass may give way, so that recording never is the main work
RECORDING = Lock()  # torch allows one recording at a time in a process

logger = logging.getLogger(__name__)
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
    """Whether somebody records what goes into the current stream of ``device``."""
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


class Recording(NamedTuple):
    """A pass in a device's hands."""

    replay: Callable[[], None]  # launches it: the results are written anew
    results: Any
    pool: object  # the memory it works in, which later ones may share


class Graphs:
    """A device's recorded passes, by what they do and the shapes of their arguments.

    A pass launched long ago gives way to one that comes again. All work in one pool of memory,
    where a launch overwrites what others have left. So launches take turns, in Python by a
    lock and on the ``device``, a ``Cuda`` or its like, by its streams; the
    results are copied before the turn ends.
    """

    def __init__(self, device: Cuda) -> None:
        self.device = device
        self.lock = Lock()
        self.limit = LIMIT
        self.calls = 0
        self.came: dict[
            Hashable, None
        ] = {}  # shapes that are not recorded, the first to come first
        self.recorded: dict[Hashable, Graph] = {}  # by shape

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """``function(*arguments)``; the results are the caller's own."""
        if self.device.is_capturing():  # into the caller's own graph
            return function(*arguments)
        shape = function, self.device.settings(), shape_of(arguments)
        with self.lock:
            self.calls += 1
            graph = self.recorded.get(shape) or self._record(function, shape, arguments)
            if graph is not None:
                graph.launched = self.calls
                with self.device.in_turn():
                    return graph.run(arguments)
        return function(*arguments)

    def free(self) -> None:
        """Forget all recorded passes: their memory is the device's again."""
        with self.lock:
            self._forget(list(self.recorded))

    def _record(
        self, function: Callable[..., Any], shape: Hashable, arguments: tuple[Any, ...]
    ) -> Graph | None:
        """A new ``Graph`` if ``shape`` comes again and there is space, else None."""
        if shape not in self.came:
            self.came[shape] = None
            if len(self.came) > IDLE:
                del self.came[next(iter(self.came))]
            return None
        if not self._make_space():
            return None
        pool = next((graph.pool for graph in self.recorded.values()), None)
        try:
            graph = Graph(function, arguments, self.device, pool)
        except torch.OutOfMemoryError:  # training can do without
            self.limit = len(self.recorded) // 2
            logger.info("recorded passes fill the memory: at most %d from now on", self.limit)
            self._forget(list(self.recorded))
            return None
        del self.came[shape]
        self.recorded[shape] = graph
        return graph

    def _make_space(self) -> bool:
        """Whether one more pass may be recorded; if need be, those that are idle are forgotten."""
        if len(self.recorded) >= self.limit:
            latest = self.calls - IDLE
            self._forget([key for key, of in self.recorded.items() if of.launched < latest])
        return len(self.recorded) < self.limit

    def _forget(self, shapes: list[Hashable]) -> None:
        if shapes:
            self.device.finish()  # with their memory
        for shape in shapes:
            del self.recorded[shape]


class Graph:
    """A recorded pass, with the memory where it reads its arguments."""

    def __init__(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], device: Cuda, pool: Any
    ) -> None:
        self.launched = 0  # the number of the latest call
        self.arguments = mapped(Tensor.clone, arguments)
        self.replay, self.results, self.pool = device.record(
            partial(function, *self.arguments), pool
        )

    def run(self, arguments: tuple[Any, ...]) -> Any:
        for place, argument in zip(tensors_in(self.arguments), tensors_in(arguments)):
            place.copy_(argument)
        self.replay()
        return mapped(Tensor.clone, self.results)


def shape_of(value: Any) -> Any:
    """What tells whether a pass recorded for another value does for this one."""
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype, value.device
    return tuple(map(shape_of, value)) if isinstance(value, tuple) else value


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, in ``mapped``'s order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from tensors_in(part)
