"""A tape for reading on step by step: what is there is neither copied nor cast.

B batch, T steps, P slots, H hidden width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from threading import Lock
from typing import Any, TypeAlias

import torch
from torch import Tensor

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops.prepare import cast, checked, complete_source, complete_tape, precision
from fairseq_lstmn.ops.ragged import RaggedBatch
from fairseq_lstmn.ops.room import Room
from fairseq_lstmn.ops.types import Attention, Inputs, Tape, Weights, mapped

# outputs, tape and attention of complete ``Inputs`` whose rows are those of a batch
Layer: TypeAlias = Callable[[Inputs, RaggedBatch], tuple[Tensor, Tape, Attention | None]]

SMALLEST = 16  # slots of space that a new room has at least


class GrowingTape:
    """A layer's state that ``lstmn(..., tape=growing)`` grows in place and returns.

    Holds a copy of ``tape``, or nothing yet, in buffers that nobody else sees and that double
    when they are full; in the precision of the computation, float32 for half precision inputs.
    A text needs one of its own: ``GrowingTape(growing.tape())`` for another that goes on from
    the same place. Gradients flow through it as through a ``Tape``, and what ``copy`` and
    ``pickle`` make of it has none. Used by two threads at a time it raises InputError.
    """

    def __init__(self, tape: Tape | None = None) -> None:
        self._tape = tape and tape.map(torch.clone)
        # where the slots of _tape are the last ones, as soon as there is one
        self._room: Room | None = None
        self._weights, self._source = KeptCast(), KeptCast()
        self._lock = Lock()

    def tape(self) -> Tape | None:
        """A copy as a ``Tape``, as complete as it is; None as long as nothing was read or given."""
        with self._alone():
            return self._tape and self._tape.map(torch.clone)

    def latest(self, slots: int) -> GrowingTape:
        """Forget all but the latest ``slots`` slots; returns itself."""
        with self._alone():
            self._tape = self._tape and self._tape.latest(slots)
        return self

    def reorder(self, rows: Tensor) -> GrowingTape:
        """Take ``rows`` (B',) for its rows, in place; returns itself."""
        with self._alone():
            room = self._room
            if room is not None and not room.final and len(rows) <= len(room.slots):
                self._reorder_in_place(room, rows)
            else:
                self._tape, self._room = self._tape and self._tape.reorder(rows), None
        return self

    def _reorder_in_place(self, room: Room, rows: Tensor) -> None:
        assert self._tape is not None  # it stands in the room
        count, width = self._tape.hidden.shape[1:]
        room.reorder(count, rows)
        slots, keys = room.window(count, 0)
        others = [part if part is None else part.index_select(0, rows) for part in self._tape[3:]]
        self._tape = Tape(slots[..., :width], slots[..., width:], keys, *others)

    def grow(
        self, inputs: Inputs, lengths: Tensor | None, layer: Layer
    ) -> tuple[Tensor, Attention | None]:
        """Read ``Inputs`` and become the tape that ``layer(inputs, batch)`` makes of them.

        Returns its outputs and attention.
        """
        with self._alone():
            inputs = inputs._replace(tape=self._tape)  # type: ignore[arg-type]  # complete below
            inputs, batch = checked(inputs, lengths)
            with torch.set_grad_enabled(torch.is_grad_enabled() and wants_gradients(inputs)):
                inputs = self._prepare(inputs)
                outputs, tape, attention = layer(inputs, batch)
            self._keep(tape, inputs.room, steps=inputs.query_inputs.size(1))
        return outputs, attention

    def _keep(self, tape: Tape, room: Room | None, steps: int) -> None:
        """Be ``tape``, whose ``steps`` stand in ``room`` if the backend has put them there."""
        if room is not None and room.has(tape.hidden):
            room.filled += steps
            room.final |= tape.hidden.requires_grad
        else:
            room = None
        self._tape, self._room = tape, room

    def _prepare(self, inputs: Inputs) -> Inputs:
        """``inputs`` complete, in one precision, with a room where the tape can grow."""
        dtype, steps = precision(inputs), inputs.query_inputs.size(1)
        inputs = self._cast(inputs._replace(source=complete_source(inputs.source)), dtype)
        room = self._room
        if room is None or room.slots.dtype != dtype:
            tape = complete_tape(inputs.tape, inputs.weights, inputs.query_inputs)
            room = Room.of(tape, space(tape, steps))
            return inputs._replace(tape=tape, room=room)
        if not room.can_grow(steps):
            room = room.larger(inputs.tape.hidden.size(1), space(inputs.tape, steps))
        return inputs._replace(room=room)

    def _cast(self, inputs: Inputs, dtype: torch.dtype) -> Inputs:
        """``inputs`` in ``dtype``, of which most came already in the call before."""
        *weights, bias = self._weights(dtype, *inputs.weights, inputs.distance_bias)
        source = inputs.source
        if source is not None:
            keys, slots = self._source(dtype, source.keys, source.slots)
            source = source._replace(keys=keys, slots=slots)
        inputs = inputs._replace(weights=Weights(*weights), source=source, distance_bias=bias)
        return cast(inputs, dtype)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else's turn; what is made is of use in every mode, also in inference mode."""
        if not self._lock.acquire(blocking=False):
            raise InputError("a GrowingTape is used by two threads at a time: give each its own")
        wanted = torch.is_grad_enabled()  # which the mode that is left says for itself
        aside = torch.inference_mode(False) if torch.is_inference_mode_enabled() else nullcontext()
        try:
            with aside, torch.set_grad_enabled(wanted):
                yield
        finally:
            self._lock.release()

    def __reduce__(self) -> tuple[type[GrowingTape], tuple[Tape | None]]:
        tape = self.tape()
        return GrowingTape, (tape and tape.map(torch.detach),)


class KeptCast:
    """Tensors cast to a precision, anew only when others come or their contents have changed.

    Also when gradients are wanted and were not, or the other way about. Changes that torch's
    version counter does not see, by way of ``.data``, are not seen here.
    """

    def __init__(self) -> None:
        self.given: tuple[Tensor | None, ...] = ()
        self.seen: list[object] = []
        self.made: tuple[Any, ...] = ()

    def __call__(self, dtype: torch.dtype, *tensors: Tensor | None) -> tuple[Any, ...]:
        """``tensors``, of which some may be None, in ``dtype``."""
        if all(tensor is None or tensor.dtype == dtype for tensor in tensors):
            return tensors
        seen = [dtype, torch.is_grad_enabled(), *map(stamp, tensors)]
        if seen != self.seen:
            self.given, self.seen = tensors, seen  # kept alive: a new tensor has another id
            self.made = cast(tensors, dtype)
        return self.made


def space(tape: Tape, steps: int) -> int:
    """How much a new room has behind ``tape``: twice what it needs, a slot is copied about once."""
    return max(SMALLEST, tape.hidden.size(1) + steps)


def stamp(tensor: Tensor | None) -> object:
    """What is equal as long as ``tensor`` or None is the same; an inference tensor's never is."""
    if tensor is None:
        return None
    return object() if tensor.is_inference() else (id(tensor), tensor._version, tensor.data_ptr())


def wants_gradients(inputs: Inputs) -> bool:
    """Whether a tensor of ``Inputs`` requires a gradient."""
    found: list[bool] = []
    mapped(lambda part: found.append(part.requires_grad), inputs)
    return any(found)
