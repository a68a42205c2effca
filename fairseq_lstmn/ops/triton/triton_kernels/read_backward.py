"""Additive attention over slots taken back: see ``step_kernels.read_backward``.

B batch, n slots, P parts that a row's slots are split into, H hidden width, V width of a slot
(2H or H).
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from fairseq_lstmn.ops.triton.triton_kernels.functions import tanh
from fairseq_lstmn.ops.triton.triton_kernels.launch import load_slots, named, split, tiles


def read_backward(
    keys: Tensor, slots: Tensor, queries: Tensor, score: Tensor, attention: Tensor,
    d_sums: Tensor, d_attention: Tensor | None,
    d_score: Tensor, d_queries: Tensor, d_keys: Tensor, first: int, last: int,
) -> Tensor:  # fmt: skip
    """Take ``read`` back where every row has its own sentence; the gradient of scores (B, n').

    Adds to ``d_score`` (B, H) and ``d_keys`` (B, n, H), which lack the factor v until the end,
    and writes ``d_queries`` (B, H).
    """
    rows, width = queries.shape
    parts, each = split(rows, last - first)
    d_weights = queries.new_empty(rows, last - first)
    d_scores = torch.empty_like(d_weights)
    part_d_score, part_d_queries = d_score, d_queries
    if parts > 1:
        part_d_score, part_d_queries = in_parts = queries.new_zeros(2, parts * rows, width)

    def launch(**phase: bool) -> None:
        _read_backward[rows, parts](
            **named(keys=keys, slots=slots, queries=queries, score=score, attention=attention),
            **named(d_sums=d_sums, d_attention=d_attention, d_weights=d_weights),
            **named(d_score=part_d_score, d_queries=part_d_queries, d_keys=d_keys),
            **dict(d_scores=d_scores, first=first, last=last, each=each),
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
        d_score += of_score
        d_queries.copy_(of_queries)
    return d_scores


@triton.jit(
    do_not_specialize=[
        *("first", "last", "each"),
        *("attention_row", "d_attention_row", "d_weights_row"),
    ],
    do_not_specialize_on_alignment=["attention", "d_attention"],
)
def _read_backward(
    keys, slots, queries, score, attention, d_sums, d_attention,
    d_weights, d_scores, d_score, d_queries, d_keys,
    first, last, each, width, value_width,
    WIDE: tl.constexpr, VALUES: tl.constexpr, SLOTS: tl.constexpr, NUMBERS: tl.constexpr,
    OF_WEIGHTS: tl.constexpr, OF_SCORES: tl.constexpr,
    keys_row, keys_slot, slots_row, slots_slot, queries_row, attention_row, d_sums_row,
    d_weights_row, d_score_row, d_queries_row, d_keys_row, d_keys_slot,
    d_attention_row=0,
):  # fmt: skip
    """The gradients of a part of a row's weights, then, given the whole row's, all that follow.

    ``d_score`` and ``d_queries`` (P B, H).
    """
    row = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1) * tl.num_programs(0) + row
    keys += row * keys_row
    slots += row * slots_row
    attention += row * attention_row
    d_keys += row * d_keys_row
    d_weights += row * d_weights_row - first
    d_scores += row * d_weights_row - first
    h = tl.arange(0, WIDE)
    v = tl.arange(0, VALUES)
    mine = first + tl.program_id(1) * each
    end = tl.minimum(last, mine + each)

    if OF_WEIGHTS:
        d_sum = tl.load(d_sums + row * d_sums_row + v, mask=v < value_width, other=0.0)
        for start in range(mine, end, SLOTS):
            n = start + tl.arange(0, SLOTS)
            slot = load_slots(slots, n, slots_slot, end, v, value_width)
            d_weight = tl.sum(slot * d_sum[None, :], axis=1)
            if d_attention is not None:
                given = d_attention + row * d_attention_row + n
                d_weight += tl.load(given, mask=n < end, other=0.0)
            tl.store(d_weights + n, d_weight, mask=n < end)
        tl.debug_barrier()  # other threads' d_weights are read

    if OF_SCORES:
        query = tl.load(queries + row * queries_row + h, mask=h < width, other=0.0)
        mean = tl.zeros((), query.dtype)
        for start in range(first, last, NUMBERS):
            n = start + tl.arange(0, NUMBERS)
            weight = tl.load(attention + n, mask=n < last, other=0.0)
            mean += tl.sum(weight * tl.load(d_weights + n, mask=n < last, other=0.0), axis=0)

        d_query = tl.zeros((WIDE,), query.dtype)
        d_u = tl.zeros((WIDE,), query.dtype)
        for start in range(mine, end, SLOTS):
            n = start + tl.arange(0, SLOTS)
            there = n < end
            inside = there[:, None] & (h < width)[None, :]
            d_weight = tl.load(d_weights + n, mask=there, other=0.0)
            found = tl.load(attention + n, mask=there, other=0.0) * (d_weight - mean)
            tl.store(d_scores + n, found, mask=there)
            y = tanh(load_slots(keys, n, keys_slot, end, h, width) + query[None, :])
            d_u += tl.sum(found[:, None] * y, axis=0)
            slope = found[:, None] * (1.0 - y * y)
            d_query += tl.sum(slope, axis=0)
            d_key = d_keys + n[:, None] * d_keys_slot + h[None, :]
            tl.store(d_key, tl.load(d_key, mask=inside, other=0.0) + slope, mask=inside)
        u = tl.load(score + h, mask=h < width, other=0.0)
        tl.store(d_queries + part * d_queries_row + h, d_query * u, mask=h < width)
        d_u += tl.load(d_score + part * d_score_row + h, mask=h < width, other=0.0)
        tl.store(d_score + part * d_score_row + h, d_u, mask=h < width)
