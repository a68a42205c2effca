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
    """``slots`` (B, C, 2H), [hidden; memory], and ``keys`` (B, C, H); ``filled`` up to there.

    ``authors`` (B, C) are the rows that wrote the slots: slots of the same step and author are
    equal. The rows of a beam soon share all but the latest ones, which alone are copied when
    they change places. None as long as every row wrote its own. ``final``: whether a backward
    pass will read the slots, which then may not change any more. ``packed``: the weights of the
    layer as its kernels take them.
    """

    def __init__(
        self, slots: Tensor, keys: Tensor, filled: int, authors: Tensor | None = None
    ) -> None:
        self.slots, self.keys, self.filled, self.authors = slots, keys, filled, authors
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
        seen = slice(self.filled - count, self.filled)
        slots, keys = (with_space(space, part[:, seen]) for part in (self.slots, self.keys))
        authors = None
        if self.authors is not None:
            authors = own_authors(slots)
            authors[:, :count] = self.authors[:, seen]
        larger = Cache(slots, keys, count, authors)
        larger.packed = self.packed
        return larger

    def can_grow(self, steps: int) -> bool:
        """Whether there is space for ``steps`` more slots."""
        return self.filled + steps <= self.slots.size(1)

    def window(self, count: int, more: int) -> tuple[Tensor, Tensor]:
        """The last ``count`` slots and keys with ``more`` behind them.

        To autograd they are tensors of their own: what is written behind them changes no slot.
        """
        span = slice(self.filled - count, self.filled + more)
        return self.slots[:, span].data, self.keys[:, span].data

    def has(self, hidden: Tensor) -> bool:
        """Whether ``hidden`` stands here."""
        return hidden.untyped_storage().data_ptr() == self.slots.untyped_storage().data_ptr()

    def reorder(self, count: int, rows: Tensor) -> None:
        """Row b becomes what row ``rows[b]`` was, b < B' <= B, at the last ``count`` slots.

        Not if they are final.
        """
        seen = slice(self.filled - count, self.filled)
        if self.authors is None:
            self.authors = own_authors(self.slots)
        authors = self.authors[:, seen].index_select(0, rows)
        changed = (authors != self.authors[: len(rows), seen]).any(dim=0).tolist()
        first = seen.start + changed.index(True) if True in changed else seen.stop
        parts = []
        for part in (self.slots, self.keys, self.authors):
            moved = part[:, first : seen.stop].index_select(0, rows)
            part[: len(rows), first : seen.stop] = moved
            parts.append(part[: len(rows)])
        self.slots, self.keys, self.authors = parts


def own_authors(slots: Tensor) -> Tensor:
    """(B, C), where every row of ``slots`` (B, C, V) wrote its own."""
    rows = torch.arange(slots.size(0), device=slots.device)
    return rows.unsqueeze(1).repeat(1, slots.size(1))


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
