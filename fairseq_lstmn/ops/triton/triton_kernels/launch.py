"""How kernels are launched: their arguments by name, their slots in parts and in tiles.

B batch, n slots, H hidden width, V width of a slot (2H or H).
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 4096  # numbers of keys in a program's hands at a time
PROGRAMS = 256  # enough to keep a device busy
LEAST = 16  # slots that are worth a program

# Multiplications and additions are fused: a product rounded before it is added has fewer digits,
# and takes an instruction more. Nothing here relies on either, or on the same bits elsewhere.
FUSED = dict(enable_fp_fusion=True)


def strides(width: int, **tensors: Tensor | None) -> dict[str, Any]:
    """A kernel's arguments: ``x``, and ``x_row`` and ``x_slot``, its strides but the last, 1.

    They are counted in ``width``, which is a constant of the kernel: so it knows what addresses
    are multiples of, whatever stands how far apart. None has no strides: a kernel that takes it
    sets them to 0.
    """
    arguments: dict[str, Any] = dict(tensors)
    for name, tensor in tensors.items():
        if tensor is not None:
            sizes = zip(tensor.shape[:-1], tensor.stride())
            assert all(size <= 1 or stride % width == 0 for size, stride in sizes), name
            apart = [stride // width for stride in tensor.stride()[:-1]]
            arguments.update(zip((f"{name}_row", f"{name}_slot"), apart))
    return arguments


def split(rows: int, slots: int) -> tuple[int, int]:
    """How many programs share each row's slots, and how many slots one has at most.

    Sizes alone decide: the same input is added up in the same order on every device.
    """
    parts = max(1, min(PROGRAMS // max(1, rows), slots // LEAST))
    each = max(1, triton.cdiv(slots, parts))
    return max(1, triton.cdiv(slots, each)), each


def constants(width: int, value_width: int) -> dict[str, Any]:
    """H, V and powers of two: what covers them, and how many slots, and numbers, at a time."""
    return dict(
        H=width,
        V=value_width,
        WIDE=triton.next_power_of_2(width),
        VALUES=triton.next_power_of_2(value_width),
        SLOTS=max(1, TILE // triton.next_power_of_2(width)),
        NUMBERS=256,
        num_warps=8,
        **FUSED,
    )


class Parts:
    """What programs that share a row hand over to the one of them that comes last.

    ``arrivals`` (B,) counts them, and is 0 again when that one ends.
    """

    def __init__(self, like: Tensor) -> None:
        self.like = like
        self.arrivals = like.new_zeros(0, dtype=torch.int32)

    def arrivals_of(self, rows: int) -> Tensor:
        """Zeros (rows,), or more."""
        if len(self.arrivals) < rows:
            self.arrivals = self.like.new_zeros(rows, dtype=torch.int32)
        return self.arrivals

    def memory(self, *shape: int) -> Tensor:
        return self.like.new_empty(shape)


@triton.jit
def load_slots(base, n, apart, last, column, WIDTH: tl.constexpr, H: tl.constexpr):
    """The columns below ``WIDTH`` of slots ``n`` below ``last``, zeros beyond.

    They stand ``apart`` times H numbers apart.
    """
    inside = (n < last)[:, None] & (column < WIDTH)[None, :]
    return tl.load(base + n[:, None] * apart * H + column[None, :], mask=inside, other=0.0)


@triton.jit
def arrive(arrivals):
    """How many of a row's programs came here before; what they have stored is there to be read."""
    tl.debug_barrier()  # what this one's other threads have stored, too
    return tl.atomic_add(arrivals, 1, sem="acq_rel", scope="gpu")
