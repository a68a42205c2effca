"""The cache of a tape: buffers of slots with space behind those that are filled.

B batch, P slots of a tape, C capacity, H hidden width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fairseq_lstmn.ops.pages import in_huge_pages
from fairseq_lstmn.ops.types import Tape


class Cache:
    """``slots`` (A, C, 2H), [hidden; memory], and ``keys`` (A, C, H); ``filled`` up to there.

    ``authors`` (B, C), int32 below A, says in which row each row's slots stand: the rows of a
    beam share most of them, and none is copied when they change places. None as long as every
    row has its own. Each row writes its next slots into the row of its own number. ``final``:
    whether a backward pass will read the slots, which then may not change any more. ``packed``:
    the weights of the layer as its kernels take them.
    """

    def __init__(self, slots: Tensor, keys: Tensor, filled: int) -> None:
        self.slots, self.keys, self.filled = slots, keys, filled
        self.authors: Tensor | None = None
        self.final = False
        self.packed = Once()

    @staticmethod
    @torch.no_grad()
    def of(tape: Tape, space: int) -> Cache:
        """A copy of the slots of ``tape``, its keys there, with ``space`` behind them."""
        assert tape.keys is not None
        slots = with_space(space, tape.hidden, tape.memory)
        return Cache(slots, with_space(space, tape.keys), tape.hidden.size(1))

    @torch.no_grad()
    def larger(self, count: int, space: int) -> Cache:
        """A cache of its own for the last ``count`` slots with ``space`` behind them."""
        slots, keys = (with_space(space, part) for part in self.own(count))
        larger = Cache(slots, keys, count)
        larger.packed = self.packed
        return larger

    def can_grow(self, steps: int) -> bool:
        """Whether there is space for ``steps`` more slots."""
        return self.filled + steps <= self.slots.size(1)

    def window(self, count: int, more: int) -> tuple[Tensor, Tensor]:
        """The last ``count`` slots and keys with ``more`` behind them, which rows may share.

        To autograd they are tensors of their own: what is written behind them changes no slot.
        """
        span = slice(self.filled - count, self.filled + more)
        rows = (self.slots if self.authors is None else self.authors).size(0)
        return self.slots[:rows, span].data, self.keys[:rows, span].data

    def latest_authors(self, count: int, more: int) -> Tensor | None:
        """Those of a ``window`` (B, count + more), None where rows share nothing."""
        span = slice(self.filled - count, self.filled + more)
        return None if self.authors is None else self.authors[:, span]

    def own(self, count: int) -> tuple[Tensor, Tensor]:
        """The last ``count`` slots and keys, every row's its own; a copy if they are shared."""
        slots, keys = self.window(count, 0)
        if self.authors is None:
            return slots, keys
        columns = torch.arange(self.filled - count, self.filled, device=slots.device)
        authors = self.authors[:, columns].long()
        return self.slots[authors, columns], self.keys[authors, columns]

    def has(self, hidden: Tensor) -> bool:
        """Whether ``hidden`` stands here."""
        return hidden.untyped_storage().data_ptr() == self.slots.untyped_storage().data_ptr()

    def reorder(self, rows: Tensor) -> None:
        """Row b becomes what row ``rows[b]`` was, b < B' <= A. Not if the slots are final."""
        authors = self.authors
        if authors is None:
            authors = own_authors(self.slots, rows.device)
        self.authors = authors.index_select(0, rows)
        behind = self.authors[:, self.filled :]
        behind.copy_(own_authors(behind, rows.device))

    def share_nothing(self, count: int) -> None:
        """Give every row the last ``count`` slots as its own."""
        if self.authors is None:
            return
        window, own = self.window(count, 0), self.own(count)
        for place, part in zip(window, own):
            place.copy_(part)
        rows = len(self.authors)
        self.slots, self.keys, self.authors = self.slots[:rows], self.keys[:rows], None


def own_authors(like: Tensor, device: torch.device) -> Tensor:
    """``authors`` (B, C) of ``like`` (B, C, ...), where every row has its own slots."""
    numbers = torch.arange(like.size(0), dtype=torch.int32, device=device)
    return numbers.unsqueeze(1).expand(like.shape[:2])


def with_space(space: int, *parts: Tensor) -> Tensor:
    """``parts`` (B, P, V) side by side, with space for ``space`` more slots behind them."""
    batch, count, _ = parts[0].shape
    widths = [part.size(2) for part in parts]
    spacious = in_huge_pages(parts[0].new_empty(batch, count + space, sum(widths)))
    for place, part in zip(spacious.split(widths, dim=2), parts):
        place[:, :count] = part
    return spacious


class Once:
    """What is computed of tensors, anew only when others come or their contents have changed.

    Changes that torch's version counter does not see, by way of ``.data``, are not seen here.
    """

    def __init__(self) -> None:
        self.tensors: tuple[Tensor | None, ...] = ()
        self.stamps: list[object] = []
        self.result: Any = None

    def __call__(
        self, compute: Callable[..., Any], *tensors: Tensor | None, key: object = None
    ) -> Any:
        """``compute(*tensors)``, any of which may be None; ``key``: what else it depends on."""
        stamps = [key, *map(stamp, tensors)]
        if stamps != self.stamps:
            self.tensors, self.stamps = tensors, stamps  # kept alive: a new tensor has another id
            self.result = compute(*tensors)
        return self.result


def stamp(tensor: Tensor | None) -> object:
    """What is equal as long as ``tensor`` or None is the same; an inference tensor's never is."""
    if tensor is None:
        return None
    return object() if tensor.is_inference() else (id(tensor), tensor._version, tensor.data_ptr())
