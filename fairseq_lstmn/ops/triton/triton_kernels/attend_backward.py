"""The backward pass of additive attention over slots: see ``step_kernels.attend_backward``.

B batch, n slots, P parts that a row's slots are split into, H hidden width, V width of a slot
(2H or H).
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from fairseq_lstmn.ops.triton.triton_kernels.cell import tanh
from fairseq_lstmn.ops.triton.triton_kernels.launch import load_slots, named, split, tiles


def attend_backward(
    keys: Tensor, slots: Tensor, queries: Tensor, score: Tensor, attention: Tensor,
    grad_sums: Tensor, grad_attention: Tensor | None,
    grad_score: Tensor, grad_queries: Tensor, grad_keys: Tensor, first: int, last: int,
) -> Tensor:  # fmt: skip
    """The gradient of scores (B, n') where every row has its own sentence.

    Adds to ``grad_score`` (B, H) and ``grad_keys`` (B, n, H), which lack the factor v until the
    end, and writes ``grad_queries`` (B, H).
    """
    rows, width = queries.shape
    parts, each = split(rows, last - first)
    grad_weights = queries.new_empty(rows, last - first)
    grad_scores = torch.empty_like(grad_weights)
    part_grad_score, part_grad_queries = grad_score, grad_queries
    if parts > 1:
        part_grad_score, part_grad_queries = in_parts = queries.new_zeros(2, parts * rows, width)

    def launch(**phase: bool) -> None:
        _attend_backward[rows, parts](
            **named(keys=keys, slots=slots, queries=queries, score=score, attention=attention),
            **named(grad_sums=grad_sums, grad_attention=grad_attention, grad_weights=grad_weights),
            **named(
                grad_score=part_grad_score, grad_queries=part_grad_queries, grad_keys=grad_keys
            ),
            **dict(grad_scores=grad_scores, first=first, last=last, each=each),
            **dict(width=width, value_width=slots.size(2), WIDE=triton.next_power_of_2(width)),
            **tiles(width, slots.size(2)),
            **phase,
        )

    if parts == 1:
        launch(OF_WEIGHTS=True, OF_SCORES=True)
    else:
        launch(OF_WEIGHTS=True, OF_SCORES=False)
        launch(OF_WEIGHTS=False, OF_SCORES=True)
        of_score, of_queries = in_parts.view(2, parts, rows, width).sum(dim=1)
        grad_score += of_score
        grad_queries.copy_(of_queries)
    return grad_scores


@triton.jit(
    do_not_specialize=[
        *("first", "last", "each"),
        *("attention_row", "grad_attention_row", "grad_weights_row"),
    ],
    do_not_specialize_on_alignment=["attention", "grad_attention"],
)
def _attend_backward(
    keys, slots, queries, score, attention, grad_sums, grad_attention,
    grad_weights, grad_scores, grad_score, grad_queries, grad_keys,
    first, last, each, width, value_width,
    WIDE: tl.constexpr, VALUES: tl.constexpr, SLOTS: tl.constexpr, NUMBERS: tl.constexpr,
    OF_WEIGHTS: tl.constexpr, OF_SCORES: tl.constexpr,
    keys_row, keys_slot, slots_row, slots_slot, queries_row, attention_row, grad_sums_row,
    grad_weights_row, grad_score_row, grad_queries_row, grad_keys_row, grad_keys_slot,
    grad_attention_row=0,
):  # fmt: skip
    """The gradients of a part of a row's weights, then, given the whole row's, all that follow.

    ``grad_score`` and ``grad_queries`` (P B, H).
    """
    row = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1) * tl.num_programs(0) + row
    keys += row * keys_row
    slots += row * slots_row
    attention += row * attention_row
    grad_keys += row * grad_keys_row
    grad_weights += row * grad_weights_row - first
    grad_scores += row * grad_weights_row - first
    h = tl.arange(0, WIDE)
    v = tl.arange(0, VALUES)
    mine = first + tl.program_id(1) * each
    end = tl.minimum(last, mine + each)

    if OF_WEIGHTS:
        grad_sum = tl.load(grad_sums + row * grad_sums_row + v, mask=v < value_width, other=0.0)
        for start in range(mine, end, SLOTS):
            n = start + tl.arange(0, SLOTS)
            slot = load_slots(slots, n, slots_slot, end, v, value_width)
            grad_weight = tl.sum(slot * grad_sum[None, :], axis=1)
            if grad_attention is not None:
                outside = grad_attention + row * grad_attention_row + n
                grad_weight += tl.load(outside, mask=n < end, other=0.0)
            tl.store(grad_weights + n, grad_weight, mask=n < end)
        tl.debug_barrier()  # other threads' grad_weights are read

    if OF_SCORES:
        query = tl.load(queries + row * queries_row + h, mask=h < width, other=0.0)
        mean = tl.zeros((), query.dtype)
        for start in range(first, last, NUMBERS):
            n = start + tl.arange(0, NUMBERS)
            weight = tl.load(attention + n, mask=n < last, other=0.0)
            mean += tl.sum(weight * tl.load(grad_weights + n, mask=n < last, other=0.0), axis=0)

        grad_query = tl.zeros((WIDE,), query.dtype)
        grad_u = tl.zeros((WIDE,), query.dtype)
        for start in range(mine, end, SLOTS):
            n = start + tl.arange(0, SLOTS)
            there = n < end
            inside = there[:, None] & (h < width)[None, :]
            grad_weight = tl.load(grad_weights + n, mask=there, other=0.0)
            grad_of_scores = tl.load(attention + n, mask=there, other=0.0) * (grad_weight - mean)
            tl.store(grad_scores + n, grad_of_scores, mask=there)
            y = tanh(load_slots(keys, n, keys_slot, end, h, width) + query[None, :])
            grad_u += tl.sum(grad_of_scores[:, None] * y, axis=0)
            slope = grad_of_scores[:, None] * (1.0 - y * y)
            grad_query += tl.sum(slope, axis=0)
            grad_key = grad_keys + n[:, None] * grad_keys_slot + h[None, :]
            tl.store(grad_key, tl.load(grad_key, mask=inside, other=0.0) + slope, mask=inside)
        u = tl.load(score + h, mask=h < width, other=0.0)
        tl.store(grad_queries + part * grad_queries_row + h, grad_query * u, mask=h < width)
        grad_u += tl.load(grad_score + part * grad_score_row + h, mask=h < width, other=0.0)
        tl.store(grad_score + part * grad_score_row + h, grad_u, mask=h < width)
