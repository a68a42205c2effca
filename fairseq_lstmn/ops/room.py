"""Buffers in which a tape grows without copying the slots that stand there already.

B batch, P slots of a tape, C capacity, H hidden width.
"""

from typing import NamedTuple

import torch

SMALLEST = 16  # slots of space that a new room has at least


class Room:
    """``slots`` (B, C, 2H), [hidden; memory], and ``keys`` (B, C, H); ``filled`` up to there."""

    def __init__(self, slots, keys, filled):
        self.slots, self.keys, self.filled = slots, keys, filled


class Place(NamedTuple):
    """Where a tape ends in a room. Only tapes without gradients have one."""

    room: Room
    end: int

    def window(self, count, more):
        """The last ``count`` slots and keys with ``more`` behind them."""
        span = slice(self.end - count, self.end + more)
        return self.room.slots[:, span], self.room.keys[:, span]

    def can_grow(self, steps):
        """Whether nothing stands behind the tape and there is space for ``steps`` slots."""
        return self.end == self.room.filled and self.end + steps <= self.room.slots.size(1)

    def grow(self, steps):
        """The place of the tape after ``steps`` more slots, which are written by then."""
        self.room.filled += steps
        return Place(self.room, self.room.filled)

    def select(self, count, rows):
        """A place in a new room, for ``rows`` (B',) of a tape of ``count`` slots."""
        space = self.room.slots.size(1) - self.end
        parts = (with_space(part, space, rows) for part in self.window(count, 0))
        return Place(Room(*parts, count), count)


def place_to_grow(tape, steps):
    """A place for a complete ``tape`` from which it can grow by ``steps``, its own if it can.

    A new room has twice the space it needs: a slot is copied about once in a tape's life.
    """
    if tape.place is not None and tape.place.can_grow(steps):
        return tape.place
    return new_place(tape, max(SMALLEST, tape.hidden.size(1) + steps))


def new_place(tape, space):
    """A place in a room of its own with ``space`` behind the complete ``tape``."""
    count = tape.hidden.size(1)
    slots = torch.cat([tape.hidden, tape.memory], dim=2)
    return Place(Room(with_space(slots, space), with_space(tape.keys, space), count), count)


def with_space(slots, space, rows=None):
    """``slots`` (B, P, V), or ``rows`` of them, with room for ``space`` more behind them."""
    batch, count, width = slots.shape
    roomy = slots.new_empty(batch if rows is None else len(rows), count + space, width)
    if rows is None:
        roomy[:, :count] = slots
    else:
        torch.index_select(slots, 0, rows, out=roomy[:, :count])
    return roomy
