"""The gates and the state of one step: see ``step_kernels.cell`` and ``cell_backward``.

B batch, H hidden width.
"""

import triton
import triton.language as tl
from torch import Tensor

from fairseq_lstmn.ops.triton.triton_kernels.launch import named

ELEMENTS = 1024  # numbers of H in a program


@triton.jit
def tanh(x):
    """Relative error below 6e-7 in float32, 1e-15 in float64; tanh(inf) is 1.

    Near zero 1 - exp(-2 x) has few digits: there it is Lambert's continued fraction
    x / (1 + y / (3 + y / (5 + ...))), y = x^2, whose first seven steps are exact in float64.
    """
    y = x * x
    small = tl.exp(-2.0 * tl.abs(x))
    near = tl.abs(x) < 0.4
    top = tl.abs(x) * (135135.0 + y * (17325.0 + y * (378.0 + y)))
    bottom = 135135.0 + y * (62370.0 + y * (3150.0 + y * 28.0))
    size = tl.where(near, top, 1.0 - small) / tl.where(near, bottom, 1.0 + small)
    return tl.where(x < 0, -size, size)


@triton.jit
def sigmoid(x):
    """Relative error below 6e-7 and what exp has, on devices 1e-7 |x|, in float32."""
    return 1.0 / (1.0 + tl.exp(-x))


def cell(gates: Tensor, memory: Tensor, fused: Tensor | None, slot: Tensor) -> None:
    """As ``step_kernels.cell``."""
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
    input_ = sigmoid(tl.load(gate, mask=there))
    forget = sigmoid(tl.load(gate + width, mask=there))
    candidate = tanh(tl.load(gate + 2 * width, mask=there))
    output = sigmoid(tl.load(gate + 3 * width, mask=there))
    state = forget * tl.load(memory + row * memory_row + h, mask=there) + input_ * candidate  # (8)
    if fused is not None:
        state += tl.load(fused + row * fused_row + h, mask=there)  # (15)
    tl.store(gate, input_, mask=there)
    tl.store(gate + width, forget, mask=there)
    tl.store(gate + 2 * width, candidate, mask=there)
    tl.store(gate + 3 * width, output, mask=there)
    tl.store(slot + row * slot_row + width + h, state, mask=there)
    tl.store(slot + row * slot_row + h, output * tanh(state), mask=there)  # (9), (16)


def cell_backward(
    gates: Tensor, memory: Tensor, slot: Tensor, grad_slot: Tensor, grad_gates: Tensor
) -> None:
    """As ``step_kernels.cell_backward``."""
    rows, width = memory.shape
    _cell_backward[(rows, triton.cdiv(width, ELEMENTS))](
        **named(gates=gates, memory=memory, slot=slot, grad_slot=grad_slot, grad_gates=grad_gates),
        width=width,
        ELEMENTS=ELEMENTS,
    )


@triton.jit
def _cell_backward(
    gates, memory, slot, grad_slot, grad_gates, width, ELEMENTS: tl.constexpr,
    gates_row, memory_row, slot_row, grad_slot_row, grad_gates_row,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    h = tl.program_id(1) * ELEMENTS + tl.arange(0, ELEMENTS)
    there = h < width
    gate = gates + row * gates_row + h
    input_ = tl.load(gate, mask=there)
    forget = tl.load(gate + width, mask=there)
    candidate = tl.load(gate + 2 * width, mask=there)
    output = tl.load(gate + 3 * width, mask=there)
    tanh_state = tanh(tl.load(slot + row * slot_row + width + h, mask=there))
    grad_slot += row * grad_slot_row + h
    grad_hidden = tl.load(grad_slot, mask=there)
    grad_state = tl.load(grad_slot + width, mask=there)
    grad_state += grad_hidden * output * (1.0 - tanh_state * tanh_state)  # (9)
    before = tl.load(memory + row * memory_row + h, mask=there)
    grad_gate = grad_gates + row * grad_gates_row + h
    tl.store(grad_gate, grad_state * candidate * input_ * (1.0 - input_), mask=there)  # (8)
    tl.store(grad_gate + width, grad_state * before * forget * (1.0 - forget), mask=there)
    grad_candidate = grad_state * input_ * (1.0 - candidate * candidate)
    tl.store(grad_gate + 2 * width, grad_candidate, mask=there)
    tl.store(grad_gate + 3 * width, grad_hidden * tanh_state * output * (1.0 - output), mask=there)
    tl.store(grad_slot, grad_state, mask=there)
    tl.store(grad_slot + width, grad_state * forget, mask=there)
