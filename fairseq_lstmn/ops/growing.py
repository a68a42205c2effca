"""A tape for reading on step by step: what is there is neither copied nor cast.

B batch, T steps, P slots, H hidden width.
"""

from contextlib import contextmanager, nullcontext
from threading import Lock

import torch

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops.prepare import cast, checked, complete_source, complete_tape, precision
from fairseq_lstmn.ops.room import Room
from fairseq_lstmn.ops.types import Tape, mapped

SMALLEST = 16  # slots of space that a new room has at least


class GrowingTape:
    """A layer's state that ``lstmn(..., tape=growing)`` grows in place and returns.

    Holds a copy of ``tape``, or nothing yet, in buffers that nobody else sees and that double
    when they are full; in the precision of the computation, float32 for half precision inputs.
    A text needs one of its own: ``GrowingTape(growing.tape())`` for another that goes on from
    the same place. Gradients flow through it as through a ``Tape``, and what ``copy`` and
    ``pickle`` make of it has none. Used by two threads at a time it raises InputError.
    """

    def __init__(self, tape=None):
        self._tape = tape and tape.map(torch.clone)
        self._room = None  # where the slots of _tape are the last ones, as soon as there is one
        self._weights, self._source = KeptCast(), KeptCast()
        self._lock = Lock()

    def tape(self):
        """A copy as a ``Tape``, as complete as it is; None as long as nothing was read or given."""
        with self._alone():
            return self._tape and self._tape.map(torch.clone)

    def latest(self, slots):
        """Forget all but the latest ``slots`` slots; returns itself."""
        with self._alone():
            self._tape = self._tape and self._tape.latest(slots)
        return self

    def reorder(self, rows):
        """Take ``rows`` (B',) for its rows, in place; returns itself."""
        with self._alone():
            room = self._room
            if room is not None and not room.final and len(rows) <= len(room.slots):
                self._reorder_in_place(rows)
            else:
                self._tape, self._room = self._tape and self._tape.reorder(rows), None
        return self

    def _reorder_in_place(self, rows):
        count, width = self._tape.hidden.shape[1:]
        self._room.reorder(count, rows)
        slots, keys = self._room.window(count, 0)
        others = [part if part is None else part.index_select(0, rows) for part in self._tape[3:]]
        self._tape = Tape(slots[..., :width], slots[..., width:], keys, *others)

    def grow(self, inputs, lengths, layer):
        """Read ``Inputs`` and become the tape that ``layer(inputs, batch)`` makes of them.

        Returns its outputs and attention.
        """
        with self._alone():
            inputs, batch = checked(inputs._replace(tape=self._tape), lengths)
            with torch.set_grad_enabled(torch.is_grad_enabled() and wants_gradients(inputs)):
                inputs = self._prepare(inputs)
                outputs, tape, attention = layer(inputs, batch)
            self._keep(tape, inputs.room, steps=inputs.query_inputs.size(1))
        return outputs, attention

    def _keep(self, tape, room, steps):
        """Be ``tape``, whose ``steps`` stand in ``room`` if the backend has put them there."""
        if room.has(tape.hidden):
            room.filled += steps
            room.final |= tape.hidden.requires_grad
        else:
            room = None
        self._tape, self._room = tape, room

    def _prepare(self, inputs):
        """``inputs`` complete, in one precision, with a room where the tape can grow."""
        dtype, steps = precision(inputs), inputs.query_inputs.size(1)
        inputs = self._cast(inputs._replace(source=complete_source(inputs.source)), dtype)
        room = self._room
        if room is None or room.slots.dtype != dtype:
            tape = complete_tape(inputs.tape, inputs.weights, inputs.query_inputs)
            room = Room.of(tape, space(tape, steps))
            return inputs._replace(tape=tape, room=room)
        if not room.can_grow(steps):
            room = room.larger(self._tape.hidden.size(1), space(self._tape, steps))
        return inputs._replace(room=room)

    def _cast(self, inputs, dtype):
        """``inputs`` in ``dtype``, of which most came already in the call before."""
        *weights, bias = self._weights(dtype, *inputs.weights, inputs.distance_bias)
        source = inputs.source
        if source is not None:
            keys, slots = self._source(dtype, source.keys, source.slots)
            source = source._replace(keys=keys, slots=slots)
        weights = type(inputs.weights)(*weights)
        return cast(inputs._replace(weights=weights, source=source, distance_bias=bias), dtype)

    @contextmanager
    def _alone(self):
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

    def __reduce__(self):
        tape = self.tape()
        return GrowingTape, (tape and tape.map(torch.detach),)


class KeptCast:
    """Tensors cast to a precision, anew only when others come or their contents have changed.

    Also when gradients are wanted and were not, or the other way about. Changes that torch's
    version counter does not see, by way of ``.data``, are not seen here.
    """

    def __init__(self):
        self.given = self.seen = self.made = None

    def __call__(self, dtype, *tensors):
        """``tensors``, of which some may be None, in ``dtype``."""
        if all(tensor is None or tensor.dtype == dtype for tensor in tensors):
            return tensors
        seen = [dtype, torch.is_grad_enabled(), *map(stamp, tensors)]
        if seen != self.seen:
            self.given, self.seen = tensors, seen  # kept alive: a new tensor has another id
            self.made = cast(tensors, dtype)
        return self.made


def space(tape, steps):
    """How much a new room has behind ``tape``: twice what it needs, a slot is copied about once."""
    return max(SMALLEST, tape.hidden.size(1) + steps)


def stamp(tensor):
    """What is equal as long as ``tensor`` or None is the same; an inference tensor's never is."""
    if tensor is None:
        return None
    return object() if tensor.is_inference() else (id(tensor), tensor._version, tensor.data_ptr())


def wants_gradients(inputs):
    """Whether a tensor of ``Inputs`` requires a gradient."""
    found = []
    mapped(lambda part: found.append(part.requires_grad), inputs)
    return any(found)
