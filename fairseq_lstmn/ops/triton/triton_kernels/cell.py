"""The gates and the state of one step: see ``step_kernels.cell`` and ``cell_backward``.

B batch, m later steps, H hidden width.
"""

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from fairseq_lstmn.ops.triton.triton_kernels.launch import FUSED, strides

ELEMENTS = 256  # numbers of H in a program: four in a thread, loaded at once
LATER = 16  # steps whose gradients are summed at a time


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


def grid(rows: int, width: int) -> tuple[int, int]:
    return rows, triton.cdiv(width, ELEMENTS)


def constants(width: int) -> dict[str, Any]:
    return dict(H=width, ELEMENTS=ELEMENTS, num_warps=2, **FUSED)


def cell(
    products: Tensor, gates: Tensor, query: Tensor | None,
    memory: Tensor, fused: Tensor | None, slot: Tensor,
) -> None:  # fmt: skip
    """As ``step_kernels.cell``."""
    rows, width = memory.shape
    _cell[grid(rows, width)](
        **strides(width, products=products, gates=gates, query=query),
        **strides(width, memory=memory, fused=fused, slot=slot),
        **constants(width),
    )


@triton.jit(
    do_not_specialize=[
        *("products_row", "gates_row", "memory_row", "slot_row", "query_row", "fused_row"),
    ],
)
def _cell(
    products, gates, query, memory, fused, slot,
    products_row, gates_row, memory_row, slot_row,
    H: tl.constexpr, ELEMENTS: tl.constexpr,
    query_row=0, fused_row=0,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    h = tl.program_id(1) * ELEMENTS + tl.arange(0, ELEMENTS)
    there = h < H
    gate = gates + row * gates_row * H + h
    product = products + row * products_row * H + h
    input_ = sigmoid(tl.load(gate, mask=there) + tl.load(product, mask=there))
    forget = sigmoid(tl.load(gate + H, mask=there) + tl.load(product + H, mask=there))
    candidate = tanh(tl.load(gate + 2 * H, mask=there) + tl.load(product + 2 * H, mask=there))
    output = sigmoid(tl.load(gate + 3 * H, mask=there) + tl.load(product + 3 * H, mask=there))
    before = tl.load(memory + row * memory_row * H + h, mask=there)
    state = forget * before + input_ * candidate  # (8)
    if fused is not None:
        state += tl.load(fused + row * fused_row * H + h, mask=there)  # (15)
    tl.store(gate, input_, mask=there)
    tl.store(gate + H, forget, mask=there)
    tl.store(gate + 2 * H, candidate, mask=there)
    tl.store(gate + 3 * H, output, mask=there)
    tl.store(slot + row * slot_row * H + H + h, state, mask=there)
    tl.store(slot + row * slot_row * H + h, output * tanh(state), mask=there)  # (9), (16)
    if query is not None:
        next_query = query + row * query_row * H + h
        of_query = tl.load(next_query, mask=there) + tl.load(product + 4 * H, mask=there)
        tl.store(next_query, of_query, mask=there)


def cell_backward(
    gates: Tensor, memory: Tensor, slot: Tensor, attention: Tensor, grad_sums: Tensor,
    grad_slot: Tensor, grad_gates: Tensor,
) -> None:  # fmt: skip
    """As ``step_kernels.cell_backward``."""
    rows, width = memory.shape
    _cell_backward[grid(rows, width)](
        **strides(width, gates=gates, memory=memory, slot=slot),
        **dict(attention=attention, later=attention.size(1)),
        **dict(zip(("attention_row", "attention_step"), attention.stride())),
        **strides(width, grad_sums=grad_sums, grad_slot=grad_slot, grad_gates=grad_gates),
        **dict(constants(width), LATER=LATER, num_warps=4),
    )


@triton.jit(
    do_not_specialize=[
        *("gates_row", "memory_row", "slot_row", "later", "attention_row", "attention_step"),
        *("grad_sums_row", "grad_sums_slot", "grad_slot_row", "grad_gates_row"),
    ],
    do_not_specialize_on_alignment=["attention"],
)
def _cell_backward(
    gates, memory, slot, attention, grad_sums, grad_slot, grad_gates, later,
    gates_row, memory_row, slot_row, attention_row, attention_step,
    grad_sums_row, grad_sums_slot, grad_slot_row, grad_gates_row,
    H: tl.constexpr, ELEMENTS: tl.constexpr, LATER: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    h = tl.program_id(1) * ELEMENTS + tl.arange(0, ELEMENTS)
    there = h < H
    gate = gates + row * gates_row * H + h
    input_ = tl.load(gate, mask=there)
    forget = tl.load(gate + H, mask=there)
    candidate = tl.load(gate + 2 * H, mask=there)
    output = tl.load(gate + 3 * H, mask=there)
    tanh_state = tanh(tl.load(slot + row * slot_row * H + H + h, mask=there))
    before = tl.load(memory + row * memory_row * H + h, mask=there)
    grad_slot += row * grad_slot_row * H + h
    grad_hidden = tl.load(grad_slot, mask=there)
    grad_state = tl.load(grad_slot + H, mask=there)
    attention += row * attention_row
    grad_sums += row * grad_sums_row * H
    for start in range(0, later, LATER):
        m = start + tl.arange(0, LATER)
        inside = (m < later)[:, None] & there[None, :]
        weight = tl.load(attention + m * attention_step, mask=m < later, other=0.0)[:, None]
        grad_sum = grad_sums + m[:, None] * grad_sums_slot * H + h[None, :]
        grad_hidden += tl.sum(weight * tl.load(grad_sum, mask=inside, other=0.0), axis=0)
        grad_state += tl.sum(weight * tl.load(grad_sum + H, mask=inside, other=0.0), axis=0)
    grad_state += grad_hidden * output * (1.0 - tanh_state * tanh_state)  # (9)
    grad_gate = grad_gates + row * grad_gates_row * H + h
    tl.store(grad_gate, grad_state * candidate * input_ * (1.0 - input_), mask=there)  # (8)
    tl.store(grad_gate + H, grad_state * before * forget * (1.0 - forget), mask=there)
    grad_candidate = grad_state * input_ * (1.0 - candidate * candidate)
    tl.store(grad_gate + 2 * H, grad_candidate, mask=there)
    tl.store(grad_gate + 3 * H, grad_hidden * tanh_state * output * (1.0 - output), mask=there)
    tl.store(grad_slot, grad_state, mask=there)
    tl.store(grad_slot + H, grad_state * forget, mask=there)
