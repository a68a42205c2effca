"""Passes as CUDA graphs, to spare Python several launches a step.

A pass is a function of nested tuples of tensors and constants that asks a device for nothing
back. It is recorded when arguments of a shape come for the second time, and from then on
launched as one.
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from fairseq_lstmn.ops.triton.arena import Arena, Shape, parts_of
from fairseq_lstmn.ops.triton.cuda_graphs import Cuda
from fairseq_lstmn.ops.types import mapped

LIMIT = 192  # recorded passes: CUDA keeps memory for each of their launches
IDLE = 16384  # calls without it until a recorded pass counts for nothing: two or three epochs
REMEMBERED = 1024  # shapes that are not recorded

logger = logging.getLogger(__name__)
_graphs: dict[torch.device, Graphs] = {}
_graphs_lock = Lock()
atexit.register(_graphs.clear)  # as long as there is a device to give memory back to


def graphs_of(device: torch.device) -> Graphs:
    """The ``Graphs`` of ``device``."""
    with _graphs_lock:
        if device not in _graphs:
            _graphs[device] = Graphs(Cuda(device))
        return _graphs[device]


def free_graphs(device: str | torch.device | None = None) -> None:
    """Give back the memory of the passes recorded on ``device``, or on all of them.

    What goes on records anew what it needs.
    """
    for its_device, graphs in list(_graphs.items()):
        if device is None or torch.device(device) in (its_device, torch.device("cuda")):
            graphs.free()


class Graphs:
    """A device's recorded passes, by what they do and the shapes of their arguments.

    All work in one pool of memory and read and write in one arena, where a launch overwrites what
    others have left. So launches take turns, in Python by a lock and on the ``device``, a ``Cuda``
    or its like, by its streams; the results are copied before the turn ends. Passes are forgotten
    all together: torch frees what a graph shares with others when one goes.
    """

    def __init__(self, device: Cuda) -> None:
        self.device = device
        self.lock = Lock()
        self.limit = LIMIT
        self.calls = 0
        # shapes that are not recorded, the first to come first
        self.came: dict[Hashable, None] = {}
        self.recorded: dict[Hashable, Graph] = {}  # by shape
        self.arena = Arena()

    def run(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        shapes: tuple[Any, ...],
        cut: Callable[[Any], Any],
    ) -> Any:
        """``function(*arguments)``; the results are the caller's own.

        Or, where that is recorded, ``cut(function(*longer))`` of arguments of these ``shapes``,
        which have the tensors of ``arguments`` in their first corner and zeros in the rest.
        """
        if self.device.is_capturing():  # into the caller's own graph
            return function(*arguments)
        key = function, self.device.settings(), shapes
        with self.lock:
            self.calls += 1
            if key in self.recorded or self._is_due(key):
                with self.device.in_turn():
                    graph = self.recorded.get(key) or self._record(key, arguments)
                    if graph is not None:
                        graph.launched = self.calls
                        return graph.run(arguments, cut)
        return function(*arguments)

    def free(self) -> None:
        """Forget all recorded passes: their memory is the device's again."""
        with self.lock:
            self._forget()

    def _is_due(self, key: Hashable) -> bool:
        """Whether ``key`` comes again and there is space for one more pass.

        If need be, it is made, where others are mostly idle.
        """
        if key not in self.came:
            self.came[key] = None
            if len(self.came) > REMEMBERED:
                del self.came[next(iter(self.came))]
            return False
        if len(self.recorded) < self.limit:
            return True
        oldest = self.calls - IDLE
        idle = sum(graph.launched < oldest for graph in self.recorded.values())
        if 2 * idle <= self.limit:
            return False
        self._forget()
        return True

    def _record(self, key: Any, arguments: tuple[Any, ...]) -> Graph | None:
        """A new ``Graph``; None, after a word to the user, if there is to be none."""
        function, _, shapes = key
        try:
            graph = Graph(function, shapes, arguments, self.arena, self.device)
        except torch.OutOfMemoryError:  # we can do without
            self.limit = len(self.recorded) // 2
            logger.info("recorded passes fill the memory: at most %d from now on", self.limit)
            self._forget()
            return None
        except Exception as error:  # likewise; if it is the pass's own, that raises it again
            self.limit = 0
            first_line = (str(error).strip().splitlines() or [""])[0]
            logger.warning(
                "CUDA graphs cannot be recorded here, so kernels are launched one by one: "
                f"{type(error).__name__}: {first_line}"
            )
            self._forget()
            return None
        del self.came[key]
        self.recorded[key] = graph
        return graph

    def _forget(self) -> None:
        if self.recorded:
            self.device.finish()  # with their memory
        self.recorded.clear()
        self.arena = Arena()
        self.device.free()


class Graph:
    """A recorded pass, with its places in an arena: the results take those of the arguments."""

    def __init__(
        self,
        function: Callable[..., Any],
        shapes: tuple[Any, ...],
        arguments: tuple[Any, ...],
        arena: Arena,
        device: Cuda,
    ) -> None:
        self.launched = 0  # the number of the latest call
        arguments_in_place = arena.place(shapes)
        self.arguments: list[Tensor] = parts_of(arguments_in_place, Tensor)
        self.results: Any = None

        def run_in_place() -> None:
            results = function(*arguments_in_place)
            self.results = arena.place(mapped(Shape.of, results))
            for place, result in zip(parts_of(self.results, Tensor), parts_of(results, Tensor)):
                place.copy_(result)

        self._load(arguments)
        self.replay = device.record(run_in_place)

    def run(self, arguments: tuple[Any, ...], cut: Callable[[Any], Any]) -> Any:
        """See ``Graphs.run``."""
        self._load(arguments)
        self.replay()
        return mapped(Tensor.clone, cut(self.results))

    def _load(self, arguments: tuple[Any, ...]) -> None:
        pairs = list(zip(self.arguments, parts_of(arguments, Tensor)))
        longer = [place for place, argument in pairs if place.shape != argument.shape]
        if longer:
            torch._foreach_zero_(longer)
        for place, argument in pairs:
            if place.shape != argument.shape:
                place = place[tuple(map(slice, argument.shape))]
            place.copy_(argument)
