"""A layer's training passes as CUDA graphs, to spare Python several launches a step.

A pass is a function of nested tuples of tensors and constants that asks a device for nothing
back. It is recorded when arguments of a shape come for the second time, and from then on
launched as one. B batch, T steps, P prefix slots, S source length.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from fairseq_lstmn.ops.passes import operators, recompute
from fairseq_lstmn.ops.types import Inputs, Results, Source, mapped

if TYPE_CHECKING:  # it imports this module
    from fairseq_lstmn.ops.triton.cuda_graphs import Cuda

BUCKET = 8  # T and S are rounded up to its multiples, so that few shapes come
LIMIT = 32  # recorded passes: each keeps memory for its arguments and results
IDLE = 1024  # calls until a recorded pass may give way, so that recording never is the main work

logger = logging.getLogger(__name__)


def layer(inputs: Inputs, arithmetic: operators.Arithmetic, graphs: Graphs) -> Results:
    """See ``reference.layer``; ``graphs`` run the passes where gradients are enabled.

    Not those of a tape with a room, which stand at another place in every call.
    """
    if not torch.is_grad_enabled() or inputs.room is not None:
        return recompute.layer(inputs, arithmetic)
    count, prefix = inputs.query_inputs.size(1), inputs.tape.hidden.size(1)
    slots = 0 if inputs.source is None else inputs.source.keys.size(1)
    made = recompute.layer(in_bucket(inputs), arithmetic._replace(run=graphs.run))
    return cut(made, count, prefix + count, slots)


def in_bucket(inputs: Inputs) -> Inputs:
    """``inputs`` with T and S rounded up: zeros behind the steps, masked slots in the source."""

    def longer(part: Any) -> Any:
        return None if part is None else pad(part, (0, 0, 0, -part.size(1) % BUCKET))

    source = inputs.source
    if source is not None:
        assert source.mask is not None
        source = Source(
            *(longer(source.keys), longer(source.slots)),
            *(longer(source.query_inputs), longer(source.gate_inputs)),
            mask=pad(source.mask, (0, -source.mask.size(1) % BUCKET)),
        )
    return inputs._replace(
        query_inputs=longer(inputs.query_inputs),
        gate_inputs=longer(inputs.gate_inputs),
        source=source,
        rows=None,  # how many rows still have a step differs from batch to batch
    )


def cut(made: Results, steps: int, seen: int, slots: int) -> Results:
    """What is left of ``Results`` with T ``steps``, P + T ``seen`` and S ``slots``."""
    source_attention = made.source_attention
    assert made.attention is not None  # which every pass leaves
    return Results(
        made.hidden[:, :seen],
        made.memory[:, :seen],
        made.keys[:, :seen],
        made.summaries[:, :steps],
        made.attention[:, :steps, :seen],
        made.source_summaries[:, :steps],
        None if source_attention is None else source_attention[:, :steps, :slots],
    )


class Recording(NamedTuple):
    """A pass in a device's hands."""

    replay: Callable[[], None]  # launches it: the results are written anew
    results: Any
    pool: object  # the memory it works in, which later ones may share


class Graphs:
    """A device's recorded passes, by what they do and the shapes of their arguments.

    A pass launched long ago gives way to one that comes again. All work in one pool of memory,
    where a launch overwrites what others have left. So launches take turns, in Python by a
    lock and on the ``device``, a ``cuda_graphs.Cuda`` or its like, by its streams; what they
    made is copied before the turn ends.
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
        for place, given in zip(tensors_in(self.arguments), tensors_in(arguments)):
            place.copy_(given)
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
