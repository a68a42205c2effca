"""How kernels are launched: their arguments by name, their slots in parts and in tiles.

n slots, H hidden width, V width of a slot (2H or H).
"""

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

TILE = 4096  # numbers of keys in a program's hands at a time
PROGRAMS = 256  # enough to keep a device busy
LEAST = 64  # slots that are worth a program


def named(**tensors: Tensor | None) -> dict[str, Any]:
    """A kernel's arguments: ``x``, and ``x_row`` and ``x_slot``, its strides but the last, 1.

    None has no strides: a kernel that takes it sets them to 0.
    """
    arguments: dict[str, Any] = dict(tensors)
    for name, tensor in tensors.items():
        if tensor is not None:
            arguments.update(zip((f"{name}_row", f"{name}_slot"), tensor.stride()[:-1]))
    return arguments


def split(rows: int, slots: int) -> tuple[int, int]:
    """How many programs share each row's slots, and how many slots one has at most.

    Sizes alone decide: the same input is added up in the same order on every device.
    """
    parts = max(1, min(PROGRAMS // max(1, rows), slots // LEAST))
    each = max(1, triton.cdiv(slots, parts))
    return max(1, triton.cdiv(slots, each)), each


def tiles(width: int, value_width: int) -> dict[str, int]:
    """Powers of two: what covers V, and how many slots, and numbers, are held at a time."""
    return dict(
        VALUES=triton.next_power_of_2(value_width),
        SLOTS=max(1, TILE // triton.next_power_of_2(width)),
        NUMBERS=256,
        num_warps=8,
    )


@triton.jit
def load_slots(base, n, stride, last, column, width):
    """The columns below ``width`` of slots ``n`` below ``last``, zeros beyond."""
    inside = (n < last)[:, None] & (column < width)[None, :]
    return tl.load(base + n[:, None] * stride + column[None, :], mask=inside, other=0.0)
