"""The gates and the state of one step: see ``cell.cell`` and ``cell.cell_backward``.

B batch, H hidden width.
"""

import triton
import triton.language as tl
from torch import Tensor

from fairseq_lstmn.ops.triton.triton_kernels.functions import sigmoid, tanh
from fairseq_lstmn.ops.triton.triton_kernels.launch import named

ELEMENTS = 1024  # numbers of H in a program


def cell(gates: Tensor, memory: Tensor, fused: Tensor | None, slot: Tensor) -> None:
    """As ``cell.cell``."""
    rows, width = memory.shape
    _cell[(rows, triton.cdiv(width, ELEMENTS))](
        **named(gates=gates, memory=memory, fused=fused, slot=slot),
        width=width,
        ELEMENTS=ELEMENTS,
    )


@triton.jit
def _cell(
    gates, memory, fused, slot, width, ELEMENTS: tl.constexpr,
    gates_row, memory_row, slot_row, fused_row=0,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    h = tl.program_id(1) * ELEMENTS + tl.arange(0, ELEMENTS)
    there = h < width
    gate = gates + row * gates_row + h
    write = sigmoid(tl.load(gate, mask=there))
    keep = sigmoid(tl.load(gate + width, mask=there))
    candidate = tanh(tl.load(gate + 2 * width, mask=there))
    show = sigmoid(tl.load(gate + 3 * width, mask=there))
    state = keep * tl.load(memory + row * memory_row + h, mask=there) + write * candidate  # (8)
    if fused is not None:
        state += tl.load(fused + row * fused_row + h, mask=there)  # (15)
    tl.store(gate, write, mask=there)
    tl.store(gate + width, keep, mask=there)
    tl.store(gate + 2 * width, candidate, mask=there)
    tl.store(gate + 3 * width, show, mask=there)
    tl.store(slot + row * slot_row + width + h, state, mask=there)
    tl.store(slot + row * slot_row + h, show * tanh(state), mask=there)  # (9), (16)


def cell_backward(
    gates: Tensor, memory: Tensor, slot: Tensor, d_slot: Tensor, d_gates: Tensor
) -> None:
    """As ``cell.cell_backward``."""
    rows, width = memory.shape
    _cell_backward[(rows, triton.cdiv(width, ELEMENTS))](
        **named(gates=gates, memory=memory, slot=slot, d_slot=d_slot, d_gates=d_gates),
        width=width,
        ELEMENTS=ELEMENTS,
    )


@triton.jit
def _cell_backward(
    gates, memory, slot, d_slot, d_gates, width, ELEMENTS: tl.constexpr,
    gates_row, memory_row, slot_row, d_slot_row, d_gates_row,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    h = tl.program_id(1) * ELEMENTS + tl.arange(0, ELEMENTS)
    there = h < width
    gate = gates + row * gates_row + h
    write = tl.load(gate, mask=there)
    keep = tl.load(gate + width, mask=there)
    candidate = tl.load(gate + 2 * width, mask=there)
    show = tl.load(gate + 3 * width, mask=there)
    tanh_state = tanh(tl.load(slot + row * slot_row + width + h, mask=there))
    d_slot += row * d_slot_row + h
    d_hidden = tl.load(d_slot, mask=there)
    d_state = tl.load(d_slot + width, mask=there)
    d_state += d_hidden * show * (1.0 - tanh_state * tanh_state)  # (9)
    before = tl.load(memory + row * memory_row + h, mask=there)
    d_gate = d_gates + row * d_gates_row + h
    tl.store(d_gate, d_state * candidate * write * (1.0 - write), mask=there)  # (8)
    tl.store(d_gate + width, d_state * before * keep * (1.0 - keep), mask=there)
    d_candidate = d_state * write * (1.0 - candidate * candidate)
    tl.store(d_gate + 2 * width, d_candidate, mask=there)
    tl.store(d_gate + 3 * width, d_hidden * tanh_state * show * (1.0 - show), mask=there)
    tl.store(d_slot, d_state, mask=there)
    tl.store(d_slot + width, d_state * keep, mask=there)
