"""Triton's kernels of a step: one launch reads a tape, one makes the cell, each with its way back.

A long tape's slots are split over programs, and a launch more joins what they read. Nothing is
added up in an order that changes: the same input gives the same bits. Sums are in the type of
the inputs, which ``lstmn`` hands over in float32 or float64. Numbers of a row stand side by
side; rows may lie anywhere.

Triton compiles anew where a number is 1 or a multiple of 16 or an address is one: what differs
from step to step and batch to batch, numbers of slots above all, is not to be looked at so.
"""

from fairseq_lstmn.ops.triton.triton_kernels.cell import cell, cell_backward
from fairseq_lstmn.ops.triton.triton_kernels.read import read
from fairseq_lstmn.ops.triton.triton_kernels.read_backward import read_backward

__all__ = ["cell", "cell_backward", "read", "read_backward"]
