"""Triton's kernels of a step: attention in one launch, the cell in one, and backward.

A long tape's slots are split over programs, and a launch more joins their sums. Nothing is
added up in an order that changes: the same input gives the same bits. Sums are in the type of
the inputs, which ``lstmn`` hands over in float32 or float64. Numbers of a row stand side by
side; rows may lie anywhere.

Triton compiles anew where a number is 1 or a multiple of 16 or an address is one: what differs
from step to step and batch to batch, numbers of slots above all, is not to be looked at so.
"""

from fairseq_lstmn.ops.triton.triton_kernels.attend import attend
from fairseq_lstmn.ops.triton.triton_kernels.attend_backward import attend_backward
from fairseq_lstmn.ops.triton.triton_kernels.cell import cell, cell_backward

__all__ = ["attend", "attend_backward", "cell", "cell_backward"]
