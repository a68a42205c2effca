"""Triton's kernels of a step: attention in one launch, the cell in one, and backward.

A long tape's slots are split over programs, of which the last to end joins what the others have
summed. Nothing is added up in an order that changes: the same input gives the same bits. Sums are
in the type of the inputs, which ``lstmn`` hands over in float32 or float64. Numbers of a row stand
side by side; rows may lie anywhere, multiples of H apart.

Triton compiles anew where a constant, H and V, is another one, where a number is 1 or a multiple
of 16 or an address is one: what differs from step to step and batch to batch, numbers of slots
above all, is not to be looked at so.
"""

from functools import partial
from typing import Any

from torch import Tensor

from fairseq_lstmn.ops.triton.triton_kernels import attend, attend_backward, cell, launch


class OfAPass:
    """``step_kernels`` in Triton, which share memory for the sums of parts."""

    def __init__(self, like: Tensor) -> None:
        parts = launch.Parts(like)
        self.attend: Any = partial(attend.attend, parts)
        self.attend_backward: Any = partial(attend_backward.attend_backward, parts)
        self.cell, self.cell_backward = cell.cell, cell.cell_backward


def of_a_pass(like: Tensor) -> OfAPass:
    """The kernels for a pass on the device and in the type of ``like``."""
    return OfAPass(like)


__all__ = ["of_a_pass"]
