"""Additive attention over slots at one step: see ``step_kernels.attend``.

B batch, G sentences (each attended by B / G successive rows), n slots, P parts that a row's slots
are split into, H hidden width, V width of a slot (2H or H).
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


def attend(
    memory: Parts,
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
    shared = parts > 1
    _attend[rows, parts](
        **strides(width, keys=keys, slots=slots, queries=queries, score=score, sums=sums),
        **strides(1, bias=bias, blocked=blocked, attention=attention),
        part_sums=memory.memory(rows, parts, value_width) if shared else None,
        part_scores=memory.memory(rows, parts) if shared else None,
        arrivals=memory.arrivals_of(rows) if shared else None,
        to_bias=0 if bias is None else len(bias) - last,
        queries_each=rows // max(1, len(keys)),
        **dict(first=first, last=last, each=each),
        **constants(width, value_width),
    )


@triton.jit(
    do_not_specialize=[
        *("first", "last", "each", "to_bias", "queries_each"),
        *("keys_row", "keys_slot", "slots_row", "slots_slot", "queries_row", "sums_row"),
        *("attention_row", "blocked_row"),
    ],
    do_not_specialize_on_alignment=["queries", "attention", "blocked"],
)
def _attend(
    keys, slots, queries, score, bias, blocked, attention, sums, part_sums, part_scores, arrivals,
    first, last, each, to_bias, queries_each,
    keys_row, keys_slot, slots_row, slots_slot, queries_row, sums_row, attention_row,
    H: tl.constexpr, V: tl.constexpr, WIDE: tl.constexpr, VALUES: tl.constexpr,
    SLOTS: tl.constexpr, NUMBERS: tl.constexpr,
    blocked_row=0,
):  # fmt: skip
    """Attend to a part of a row's slots as if there were no others; the last part joins them.

    ``part_sums`` (B, P, V); ``part_scores`` (B, P), whose softmax has the parts' shares; None, as
    ``arrivals`` (B,), where P = 1.
    """
    row = tl.program_id(0).to(tl.int64)
    parts = tl.num_programs(1)
    sentence = (tl.program_id(0) // queries_each).to(tl.int64)
    keys += sentence * keys_row * H
    slots += sentence * slots_row * H
    attention += row * attention_row
    h = tl.arange(0, WIDE)
    v = tl.arange(0, VALUES)
    query = tl.load(queries + row * queries_row * H + h, mask=h < H, other=0.0)
    u = tl.load(score + h, mask=h < H, other=0.0)

    best = tl.full((), float("-inf"), query.dtype)
    total = tl.zeros((), query.dtype)
    sum_ = tl.zeros((VALUES,), query.dtype)
    begin = first + tl.program_id(1) * each
    end = tl.minimum(last, begin + each)
    for start in range(begin, end, SLOTS):
        n = start + tl.arange(0, SLOTS)
        there = n < end
        key = load_slots(keys, n, keys_slot, end, h, H, H)
        slot = load_slots(slots, n, slots_slot, end, v, V, H)
        scores = tl.sum(tanh(key + query[None, :]) * u[None, :], axis=1)
        if bias is not None:
            scores += tl.load(bias + to_bias + n, mask=there, other=0.0)
        allowed = there
        if blocked is not None:
            allowed &= tl.load(blocked + row * blocked_row + n, mask=there, other=1) == 0
        scores = tl.where(allowed, scores, float("-inf"))
        tl.store(attention + n, scores, mask=there)  # the scores, until all are known
        best, total, sum_ = with_more(best, total, sum_, scores, slot)
    base, one_over = denominator(best, total)
    before = parts - 1  # whoever is alone comes last
    if part_sums is not None:
        part_sums += row * parts * V
        part_scores += row * parts
        own = tl.program_id(1)
        tl.store(part_sums + own * V + v, sum_ * one_over, mask=v < V)
        tl.store(part_scores + own, best + tl.log(total))
        before = arrive(arrivals + row)
        if before == parts - 1:
            tl.store(arrivals + row, 0)
            best = tl.full((), float("-inf"), query.dtype)
            total = tl.zeros((), query.dtype)
            sum_ = tl.zeros((VALUES,), query.dtype)
            for start in range(0, parts, SLOTS):
                part = start + tl.arange(0, SLOTS)
                scores = tl.load(part_scores + part, mask=part < parts, other=float("-inf"))
                part_sum = load_slots(part_sums, part, V // H, parts, v, V, H)
                best, total, sum_ = with_more(best, total, sum_, scores, part_sum)
            base, one_over = denominator(best, total)
    if before == parts - 1:
        tl.store(sums + row * sums_row * H + v, sum_ * one_over, mask=v < V)
        tl.debug_barrier()  # other threads' scores are read
        for start in range(first, last, NUMBERS):
            n = start + tl.arange(0, NUMBERS)
            scores = tl.load(attention + n, mask=n < last, other=0.0)
            tl.store(attention + n, tl.exp(scores - base) * one_over, mask=n < last)


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
