"""Static memory for passes that run one at a time, and who has which place there."""

from __future__ import annotations

from math import prod
from operator import add
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fairseq_lstmn.ops.types import mapped

ALIGNMENT = 512  # bytes, as torch's own memory on CUDA devices


class Shape(NamedTuple):
    """Of a tensor to come. ``steps_first``: the order of (B, T, ...) in memory."""

    sizes: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    steps_first: bool

    @staticmethod
    def of(tensor: Tensor, *more: int) -> Shape:
        """That of ``tensor``, with so much more in the first dimensions."""
        sizes: tuple[int, ...] = tensor.shape
        if any(more):
            sizes = (*map(add, sizes, more), *sizes[len(more) :])
        steps_first = len(sizes) == 3 and 0 < tensor.stride(0) < tensor.stride(1)
        return Shape(sizes, tensor.dtype, tensor.device, steps_first)

    def bytes(self) -> int:
        return prod(self.sizes) * self.dtype.itemsize

    def within(self, memory: Tensor) -> Tensor:
        """A tensor at the start of ``memory``, bytes that are enough."""
        numbers = memory[: self.bytes()].view(self.dtype)
        if not self.steps_first:
            return numbers.view(self.sizes)
        batch, steps, width = self.sizes
        return numbers.view(steps, batch, width).transpose(0, 1)


class Arena:
    """Memory of one device, as much as the largest pass takes.

    Where that was too little, earlier passes stay in what there was, at most as much again.
    """

    def __init__(self) -> None:
        self.memory: Tensor | None = None

    def place(self, shapes: Any) -> Any:
        """Nested tuples of ``Shape`` and others, each with a tensor; they overlap other calls'."""
        sizes = [aligned(shape.bytes()) for shape in parts_of(shapes, Shape)]
        places = iter(self._memory(sum(sizes), shapes).split(sizes) if sizes else ())
        return mapped(lambda shape: shape.within(next(places)), shapes, Shape)

    def _memory(self, size: int, shapes: Any) -> Tensor:
        """(size,) bytes, the first there are."""
        before = 0 if self.memory is None else self.memory.numel()
        if self.memory is None or before < size:
            device = parts_of(shapes, Shape)[0].device
            with torch.inference_mode(False):  # later calls write there in any mode
                self.memory = torch.empty(max(size, 2 * before), dtype=torch.uint8, device=device)
        return self.memory[:size]


def aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def parts_of(value: Any, kind: type) -> list[Any]:
    """What is of a ``kind`` in nested tuples, in ``mapped``'s order."""
    parts: list[Any] = []
    mapped(parts.append, value, kind)
    return parts
