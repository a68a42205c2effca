"""The backward pass of additive attention over slots: see ``step_kernels.attend_backward``.

B batch, n slots, P parts that a row's slots are split into, H hidden width, V width of a slot
(2H or H).
"""

import triton
import triton.language as tl
from torch import Tensor

from fairseq_lstmn.ops.triton.triton_kernels.cell import tanh
from fairseq_lstmn.ops.triton.triton_kernels.launch import (
    Parts,
    arrive,
    constants,
    load_slots,
    split,
    strides,
)


def attend_backward(
    memory: Parts,
    keys: Tensor, slots: Tensor, queries: Tensor, score: Tensor, attention: Tensor, sums: Tensor,
    grad_sums: Tensor, grad_attention: Tensor | None,
    grad_score: Tensor, grad_queries: Tensor, grad_keys: Tensor, grad_bias: Tensor | None,
    first: int, last: int,
) -> None:  # fmt: skip
    """As ``step_kernels.attend_backward``."""
    if last - first <= 1:  # as there, where rounding would not leave zeros
        grad_queries.zero_()
        return
    (rows, width), value_width = queries.shape, slots.size(2)
    parts, each = split(rows, last - first)
    _attend_backward[rows, parts](
        **strides(width, keys=keys, slots=slots, queries=queries, score=score, sums=sums),
        **strides(width, grad_sums=grad_sums, grad_score=grad_score),
        **strides(width, grad_queries=grad_queries, grad_keys=grad_keys),
        **strides(1, attention=attention, grad_attention=grad_attention, grad_bias=grad_bias),
        part_grads=memory.memory(rows, parts, 2 * width) if parts > 1 else None,
        arrivals=memory.arrivals_of(rows) if parts > 1 else None,
        to_bias=0 if grad_bias is None else grad_bias.size(1) - last,
        **dict(first=first, last=last, each=each),
        **constants(width, value_width),
    )


@triton.jit(
    do_not_specialize=[
        *("first", "last", "each", "to_bias"),
        *("keys_row", "keys_slot", "slots_row", "slots_slot", "queries_row", "sums_row"),
        *("grad_sums_row", "grad_score_row", "grad_queries_row", "grad_keys_row", "grad_keys_slot"),
        *("attention_row", "grad_attention_row", "grad_bias_row"),
    ],
    do_not_specialize_on_alignment=[
        *("queries", "sums", "grad_sums", "grad_queries"),
        *("attention", "grad_attention", "grad_bias"),
    ],
)
def _attend_backward(
    keys, slots, queries, score, attention, sums, grad_sums, grad_attention,
    grad_score, grad_queries, grad_keys, grad_bias, part_grads, arrivals,
    first, last, each, to_bias,
    keys_row, keys_slot, slots_row, slots_slot, queries_row, sums_row,
    grad_sums_row, grad_score_row, grad_queries_row, grad_keys_row, grad_keys_slot, attention_row,
    H: tl.constexpr, V: tl.constexpr, WIDE: tl.constexpr, VALUES: tl.constexpr,
    SLOTS: tl.constexpr, NUMBERS: tl.constexpr,
    grad_attention_row=0, grad_bias_row=0,
):  # fmt: skip
    """The gradients by a part of a row's slots; the last part adds up those of query and score.

    ``part_grads`` (B, P, 2H); None, as ``arrivals`` (B,), where P = 1.
    """
    row = tl.program_id(0).to(tl.int64)
    parts = tl.num_programs(1)
    keys += row * keys_row * H
    slots += row * slots_row * H
    grad_keys += row * grad_keys_row * H
    attention += row * attention_row
    h = tl.arange(0, WIDE)
    v = tl.arange(0, VALUES)
    query = tl.load(queries + row * queries_row * H + h, mask=h < H, other=0.0)
    sum_ = tl.load(sums + row * sums_row * H + v, mask=v < V, other=0.0)
    grad_sum = tl.load(grad_sums + row * grad_sums_row * H + v, mask=v < V, other=0.0)

    # the mean of all slots' gradients of weights, by these weights
    mean = tl.sum(sum_ * grad_sum, axis=0)
    if grad_attention is not None:
        grad_attention += row * grad_attention_row
        for start in range(first, last, NUMBERS):
            n = start + tl.arange(0, NUMBERS)
            weight = tl.load(attention + n, mask=n < last, other=0.0)
            mean += tl.sum(weight * tl.load(grad_attention + n, mask=n < last, other=0.0), axis=0)

    grad_query = tl.zeros((WIDE,), query.dtype)
    grad_u = tl.zeros((WIDE,), query.dtype)
    begin = first + tl.program_id(1) * each
    end = tl.minimum(last, begin + each)
    for start in range(begin, end, SLOTS):
        n = start + tl.arange(0, SLOTS)
        there = n < end
        inside = there[:, None] & (h < H)[None, :]
        grad_key = grad_keys + n[:, None] * grad_keys_slot * H + h[None, :]
        key = load_slots(keys, n, keys_slot, end, h, H, H)
        slot = load_slots(slots, n, slots_slot, end, v, V, H)
        before = tl.load(grad_key, mask=inside, other=0.0)
        grad_weight = tl.sum(slot * grad_sum[None, :], axis=1)
        if grad_attention is not None:
            grad_weight += tl.load(grad_attention + n, mask=there, other=0.0)
        grad_of_scores = tl.load(attention + n, mask=there, other=0.0) * (grad_weight - mean)
        if grad_bias is not None:
            of_bias = grad_bias + row * grad_bias_row + to_bias + n
            tl.store(of_bias, tl.load(of_bias, mask=there) + grad_of_scores, mask=there)
        y = tanh(key + query[None, :])
        slope = grad_of_scores[:, None] * (1.0 - y * y)
        tl.store(grad_key, before + slope, mask=inside)
        grad_query += tl.sum(slope, axis=0)
        grad_u += tl.sum(grad_of_scores[:, None] * y, axis=0)

    arrived = parts - 1  # whoever is alone comes last
    if part_grads is not None:
        part_grads += row * parts * 2 * H
        part_grad = part_grads + tl.program_id(1) * 2 * H + h
        tl.store(part_grad, grad_query, mask=h < H)
        tl.store(part_grad + H, grad_u, mask=h < H)
        arrived = arrive(arrivals + row)
        if arrived == parts - 1:
            tl.store(arrivals + row, 0)
            grad_query = tl.zeros((WIDE,), query.dtype)
            grad_u = tl.zeros((WIDE,), query.dtype)
            for start in range(0, parts, SLOTS):
                part = start + tl.arange(0, SLOTS)
                grad_query += tl.sum(load_slots(part_grads, part, 2, parts, h, H, H), axis=0)
                grad_u += tl.sum(load_slots(part_grads + H, part, 2, parts, h, H, H), axis=0)
    if arrived == parts - 1:
        u = tl.load(score + h, mask=h < H, other=0.0)
        tl.store(grad_queries + row * grad_queries_row * H + h, grad_query * u, mask=h < H)
        of_score = grad_score + row * grad_score_row * H + h
        tl.store(of_score, tl.load(of_score, mask=h < H, other=0.0) + grad_u, mask=h < H)
