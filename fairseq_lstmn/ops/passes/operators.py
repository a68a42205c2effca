"""The two passes of a layer as operators of torch: autograd, compilers and functorch see no more.

An operator takes its tensors in one row, with their names (see ``fields``) in a string, and an
``Arithmetic`` by its name. What it returns shares no memory. B batch, T steps, P prefix slots,
H hidden width; shapes are those of ``Inputs``, ``Trace`` and ``Results``.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.library import custom_op

from fairseq_lstmn.ops.passes.backward import backward
from fairseq_lstmn.ops.passes.fields import complete, flat, nested
from fairseq_lstmn.ops.passes.forward import forward
from fairseq_lstmn.ops.passes.trace import Trace
from fairseq_lstmn.ops.room import Room
from fairseq_lstmn.ops.types import Inputs, Results, Source, Tape, Weights, mapped

LIBRARY = torch.library.Library("fairseq_lstmn", "FRAGMENT")
ARITHMETICS: dict[str, Callable[[], "Arithmetic"]] = {}  # by name, functions that make one
GIVEN = ("source_slots", "source_keys")  # of a trace: what the inputs have already
MADE = tuple(name for name in Trace._fields if name not in GIVEN)
INSIDE = ("queries", "gates", "source_queries", "fusion_gates")  # of a trace, not of ``Results``


def directly(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


class Arithmetic(NamedTuple):
    """How a layer's passes are computed."""

    kernels: Any  # what a step consists of beside products, see ``step_kernels``
    # how a training pass, a function, is called with its arguments
    run: Callable[..., Any] = directly


def provide(name: str, make: Callable[[], Arithmetic]) -> None:
    """Let ``make()`` be the ``Arithmetic`` of that name, in this and in every other process."""
    ARITHMETICS[name] = cache(make)


@cache
def name_of(arithmetic: Arithmetic) -> str:
    """A name for an ``Arithmetic`` of this process."""
    name = f"of this process, {len(ARITHMETICS)}"
    provide(name, lambda: arithmetic)
    return name


def arithmetic_of(name: str) -> Arithmetic:
    """The ``Arithmetic`` of that name."""
    return ARITHMETICS[name]()


class Kept(NamedTuple):
    """What the backward pass of a layer reads."""

    trace: Trace
    weights: Weights
    distance_bias: Tensor | None
    gradients: Results | None = None  # of which any may be None


@custom_op("fairseq_lstmn::layer", mutates_args=())
def layer(
    arithmetic: str,
    names: str,
    tensors: list[Tensor],
    memory_span: int,
    rows: list[int] | None,
) -> list[Tensor]:
    """What all steps of ``Inputs`` leave behind: those of the fields ``MADE`` that there are.

    There are no gradients of the fields ``INSIDE``, of [h~; c~] before the first step, and c~.
    """
    inputs = as_inputs(names, tensors)._replace(memory_span=memory_span, rows=rows)
    by = arithmetic_of(arithmetic)
    return made_of(by.run(forward_from_a_copy, by.kernels, inputs))


def as_inputs(names: str, tensors: Sequence[Tensor]) -> Inputs:
    """The ``Inputs`` of an operator's arguments, each row's numbers side by side."""
    made: Inputs = mapped(rows_side_by_side, nested(Inputs, names, tensors))
    return made


def rows_side_by_side(tensor: Tensor) -> Tensor:
    """``tensor`` (B, T, H) where batch or steps stand first in memory, else a copy that does."""
    steps_first = tensor.dim() == 3 and tensor.transpose(0, 1).is_contiguous()
    return tensor if steps_first else tensor.contiguous()


def forward_from_a_copy(kernels: Any, inputs: Inputs) -> Trace:
    """``forward`` that leaves the tape where it stands."""
    return forward(kernels, inputs, Room.of(inputs.tape, inputs.query_inputs.size(1)))


def forward_in_place(kernels: Any, inputs: Inputs) -> Trace:
    """``forward`` that writes behind the tape where it stands, if it has a room."""
    if inputs.room is None:
        return forward_from_a_copy(kernels, inputs)
    rest = inputs._replace(tape=None)  # type: ignore[arg-type]  # which it gets back below
    apart: Inputs = mapped(rows_side_by_side, rest)
    return forward(kernels, apart._replace(tape=inputs.tape), inputs.room)


def made_of(trace: Trace) -> list[Tensor]:
    """A row of the fields ``MADE`` that a trace has."""
    return [part for name in MADE if (part := getattr(trace, name)) is not None]


@layer.register_fake
def _(arithmetic: str, names: str, tensors: list[Tensor], *options: Any) -> list[Tensor]:
    inputs = as_inputs(names, tensors)
    return made_of(Trace.start(inputs, Room.of(inputs.tape, inputs.query_inputs.size(1))))


@custom_op("fairseq_lstmn::layer_backward", mutates_args=())
def layer_backward(
    arithmetic: str,
    needed: str,
    names: str,
    tensors: list[Tensor],
    memory_span: int,
    rows: list[int] | None,
) -> list[Tensor]:
    """The gradients of the ``Inputs`` whose names are ``needed``, given what is ``Kept``."""
    kept = as_kept(names, tensors)
    by = arithmetic_of(arithmetic)
    with torch.autocast(kept.trace.keys.device.type, enabled=False):
        found = by.run(
            backward,
            *(by.kernels, kept.trace, kept.weights, memory_span, kept.distance_bias, rows),
            kept.gradients,
        )
    hidden, memory = (part.clone(memory_format=torch.contiguous_format) for part in found.tape[:2])
    found = flat(found._replace(tape=found.tape._replace(hidden=hidden, memory=memory)))
    return [found[name] for name in needed.split()]


def as_kept(names: str, tensors: Sequence[Tensor]) -> Kept:
    """What is ``Kept``, of an operator's arguments, each row's numbers side by side."""
    kept = nested(Kept, names, tensors)
    apart: Kept = mapped(rows_side_by_side, kept._replace(gradients=None))
    return apart._replace(gradients=kept.gradients or complete(Results, {}))


@layer_backward.register_fake
def _(
    arithmetic: str, needed: str, names: str, tensors: list[Tensor], *options: Any
) -> list[Tensor]:
    trace, weights, distance_bias, _ = as_kept(names, tensors)
    batch, steps, width = trace.queries.shape
    slots = trace.keys.new_empty(batch, trace.keys.size(1) - steps, width)
    summary = trace.keys.new_empty(batch, width)
    source = None
    if trace.source_keys is not None:
        source = Source(
            trace.source_keys,
            trace.source_slots.new_empty(trace.source_slots.shape),
            trace.source_queries,
            trace.fusion_gates,
        )
    found = flat(
        Inputs(
            trace.queries,
            trace.gates,
            weights,
            Tape(slots, slots, slots, summary, summary),
            source,
            0,
            distance_bias,
        )
    )
    return [torch.empty_like(found[name]) for name in needed.split()]
