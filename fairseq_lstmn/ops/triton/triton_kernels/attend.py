"""Additive attention over slots at one step: see ``step_kernels.attend``.

B batch, G sentences (each attended by B / G successive rows), n slots, P parts that a row's slots
are split into, H hidden width, V width of a slot (2H or H).
"""

import triton
import triton.language as tl
from torch import Tensor

from fairseq_lstmn.ops.triton.triton_kernels.cell import tanh
from fairseq_lstmn.ops.triton.triton_kernels.launch import load_slots, named, split, tiles


def attend(
    keys: Tensor, slots: Tensor, queries: Tensor, score: Tensor,
    bias: Tensor | None, blocked: Tensor | None,
    attention: Tensor, sums: Tensor, first: int, last: int,
) -> None:  # fmt: skip
    """Write the weights of slots ``first`` to ``last`` and the sums of slots: (4)-(6), (12)-(13).

    ``keys`` (G, n, H), ``slots`` (G, n, V), ``queries`` (B, H), ``score`` (H,), ``bias`` (n,) or
    None, its last entry the newest slot's, ``blocked`` (B, n) or None; ``attention`` (B, n) and
    ``sums`` (B, V) are written.
    """
    (rows, width), value_width = queries.shape, slots.size(2)
    parts, each = split(rows, last - first)
    part_sums, part_scores = sums, None
    if parts > 1:
        part_sums = sums.new_empty(parts * rows, value_width)
        part_scores = sums.new_empty(parts * rows)
    sizes = dict(first=first, last=last, each=each, value_width=value_width)
    sizes.update(tiles(width, value_width))
    _attend[rows, parts](
        **named(keys=keys, slots=slots, queries=queries, score=score, bias=bias, blocked=blocked),
        **named(attention=attention, sums=part_sums, part_scores=part_scores),
        to_bias=0 if bias is None else len(bias) - last,
        queries_each=rows // max(1, len(keys)),
        width=width,
        WIDE=triton.next_power_of_2(width),
        **sizes,
    )
    if parts > 1:
        _join[(rows,)](
            **named(part_sums=part_sums, part_scores=part_scores, attention=attention, sums=sums),
            parts=parts,
            **sizes,
        )


@triton.jit(
    do_not_specialize=["first", "last", "each", "to_bias", "attention_row", "blocked_row"],
    do_not_specialize_on_alignment=["attention"],
)
def _attend(
    keys, slots, queries, score, bias, blocked, attention, sums, part_scores,
    first, last, each, to_bias, queries_each, width, value_width,
    WIDE: tl.constexpr, VALUES: tl.constexpr, SLOTS: tl.constexpr, NUMBERS: tl.constexpr,
    keys_row, keys_slot, slots_row, slots_slot, queries_row, attention_row, sums_row,
    blocked_row=0,
):  # fmt: skip
    """Attend to a part of a row's slots as if there were no others.

    ``sums`` (P B, V). ``part_scores`` (P B,), whose softmax over P has the parts' shares, or None.
    """
    row = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1) * tl.num_programs(0) + row
    first += tl.program_id(1) * each
    last = tl.minimum(last, first + each)
    keys += row // queries_each * keys_row
    slots += row // queries_each * slots_row
    attention += row * attention_row
    h = tl.arange(0, WIDE)
    v = tl.arange(0, VALUES)
    query = tl.load(queries + row * queries_row + h, mask=h < width, other=0.0)
    u = tl.load(score + h, mask=h < width, other=0.0)

    best = tl.full((), float("-inf"), query.dtype)
    total = tl.zeros((), query.dtype)
    sum_ = tl.zeros((VALUES,), query.dtype)
    for start in range(first, last, SLOTS):
        n = start + tl.arange(0, SLOTS)
        there = n < last
        key = load_slots(keys, n, keys_slot, last, h, width)
        scores = tl.sum(tanh(key + query[None, :]) * u[None, :], axis=1)
        if bias is not None:
            scores += tl.load(bias + to_bias + n, mask=there, other=0.0)
        allowed = there
        if blocked is not None:
            allowed &= tl.load(blocked + row * blocked_row + n, mask=there, other=1) == 0
        scores = tl.where(allowed, scores, float("-inf"))
        tl.store(attention + n, scores, mask=there)  # the scores, until all are known
        slot = load_slots(slots, n, slots_slot, last, v, value_width)
        best, total, sum_ = with_more(best, total, sum_, scores, slot)
    base, one_over = denominator(best, total)
    tl.store(sums + part * sums_row + v, sum_ * one_over, mask=v < value_width)
    if part_scores is not None:
        tl.store(part_scores + part, best + tl.log(total))
    tl.debug_barrier()  # other threads' scores are read
    for start in range(first, last, NUMBERS):
        n = start + tl.arange(0, NUMBERS)
        scores = tl.load(attention + n, mask=n < last, other=0.0)
        tl.store(attention + n, tl.exp(scores - base) * one_over, mask=n < last)


@triton.jit(
    do_not_specialize=["first", "last", "each", "parts", "attention_row"],
    do_not_specialize_on_alignment=["attention"],
)
def _join(
    part_sums, part_scores, attention, sums,
    first, last, each, parts, value_width,
    VALUES: tl.constexpr, SLOTS: tl.constexpr, NUMBERS: tl.constexpr,
    part_sums_row, attention_row, sums_row,
):  # fmt: skip
    """Attend to a row's parts as ``_attend`` does to slots, and give weights their part's share."""
    row = tl.program_id(0).to(tl.int64)
    rows = tl.num_programs(0)
    part_sums += row * part_sums_row
    part_scores += row
    attention += row * attention_row
    v = tl.arange(0, VALUES)

    best = tl.full((), float("-inf"), sums.dtype.element_ty)
    total = tl.zeros((), sums.dtype.element_ty)
    sum_ = tl.zeros((VALUES,), sums.dtype.element_ty)
    for start in range(0, parts, SLOTS):
        part = start + tl.arange(0, SLOTS)
        scores = tl.load(part_scores + part * rows, mask=part < parts, other=float("-inf"))
        part_sum = load_slots(part_sums, part, rows * part_sums_row, parts, v, value_width)
        best, total, sum_ = with_more(best, total, sum_, scores, part_sum)
    base, one_over = denominator(best, total)
    tl.store(sums + row * sums_row + v, sum_ * one_over, mask=v < value_width)
    for start in range(first, last, NUMBERS):
        n = start + tl.arange(0, NUMBERS)
        scores = tl.load(part_scores + (n - first) // each * rows, mask=n < last, other=0.0)
        weight = tl.load(attention + n, mask=n < last, other=0.0)
        tl.store(attention + n, weight * tl.exp(scores - base) * one_over, mask=n < last)


@triton.jit
def with_more(best, total, sum_, scores, slot):
    """A softmax as it goes: what was summed so far shrinks when a larger score comes.

    ``best`` is the largest score, ``total`` () and ``sum_`` (V,) have exp(score - best) for
    weights; to them come scores ``scores`` (m,) of ``slot`` (m, V).
    """
    larger = tl.maximum(best, tl.max(scores, axis=0))
    base = tl.where(larger == float("-inf"), 0.0, larger)
    weight = tl.exp(scores - base)
    shrink = tl.exp(best - base)
    total = total * shrink + tl.sum(weight, axis=0)
    sum_ = sum_ * shrink + tl.sum(weight[:, None] * slot, axis=0)
    return larger, total, sum_


@triton.jit
def denominator(best, total):
    """What to take from scores, and to multiply by: 0 and 0 where no slot may be attended."""
    base = tl.where(best == float("-inf"), 0.0, best)
    return base, tl.where(total == 0, 0.0, 1.0 / total)
