"""Triton's kernels of a step: one launch reads a tape, one makes the cell, each with its way back.

B batch, T steps, G sentences, n slots, H hidden width. A slot is V wide, 2H or H. Numbers of a
row stand side by side; rows may lie anywhere. Each row of the batch is one program, so that no
sums are made in an order that changes: the same input gives the same bits. Sums are in the type
of the inputs, which ``lstmn`` hands over in float32 or float64.
"""

import torch
import triton
import triton.language as tl

TILE = 4096  # numbers of keys in a program's hands at a time
ELEMENTS = 1024  # numbers of H in a program of the cell


@triton.jit
def tanh(x):
    """Within 2e-7 of tanh in float32, 1e-16 in float64; tanh(inf) is 1."""
    small = tl.exp(-2.0 * tl.abs(x))
    y = (1.0 - small) / (1.0 + small)
    return tl.where(x < 0, -y, y)


@triton.jit
def sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def load_slots(base, n, stride, last, column, width):
    """The columns below ``width`` of slots ``n`` below ``last``, zeros beyond."""
    inside = (n < last)[:, None] & (column < width)[None, :]
    return tl.load(base + n[:, None] * stride + column[None, :], mask=inside, other=0.0)


def read(keys, slots, queries, score, bias, blocked, attention, sums, first, last):
    """Write the weights of slots ``first`` to ``last`` and the sums of slots: (4)-(6), (12)-(13).

    ``keys`` (G, n, H), ``slots`` (G, n, V), ``queries`` (B, H), ``score`` (H,), ``bias`` (n,) or
    None, its last entry the newest slot's, ``blocked`` (B, n) or None; ``attention`` (B, n) and
    ``sums`` (B, V) are written.
    """
    rows, width = queries.shape
    scores = queries.new_empty(rows, last - first)
    _read[(rows,)](
        *(keys, slots, queries, score, bias, blocked, attention, sums, scores),
        *(first, last, rows // max(1, len(keys))),
        *(0 if bias is None else len(bias) - last, width, slots.size(2)),
        *(*keys.stride()[:2], *slots.stride()[:2], queries.stride(0)),
        *(0 if blocked is None else blocked.stride(0), attention.stride(0), sums.stride(0)),
        **tiles(width, slots.size(2)),
    )


def tiles(width, value_width):
    """Powers of two that cover H and V, and how many slots a program holds at a time."""
    wide = triton.next_power_of_2(width)
    return dict(
        WIDE=wide,
        VALUES=triton.next_power_of_2(value_width),
        SLOTS=max(1, TILE // wide),
        num_warps=8,
    )


@triton.jit(do_not_specialize=["first", "last", "to_bias"])
def _read(
    keys, slots, queries, score, bias, blocked, attention, sums, scores,
    first, last, readers,
    to_bias, width, value_width,
    key_row, key_slot, slot_row, slot_slot, query_row,
    blocked_row, attention_row, sum_row,
    WIDE: tl.constexpr, VALUES: tl.constexpr, SLOTS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    sentence = row // readers
    keys += sentence * key_row
    slots += sentence * slot_row
    attention += row * attention_row
    scores += row * (last - first) - first
    h = tl.arange(0, WIDE)
    v = tl.arange(0, VALUES)
    query = tl.load(queries + row * query_row + h, mask=h < width, other=0.0)
    u = tl.load(score + h, mask=h < width, other=0.0)

    best = tl.full((), float("-inf"), query.dtype)
    total = tl.zeros((), query.dtype)
    sum_ = tl.zeros((VALUES,), query.dtype)
    for start in range(first, last, SLOTS):
        n = start + tl.arange(0, SLOTS)
        there = n < last
        key = load_slots(keys, n, key_slot, last, h, width)
        found = tl.sum(tanh(key + query[None, :]) * u[None, :], axis=1)
        if bias is not None:
            found += tl.load(bias + to_bias + n, mask=there, other=0.0)
        allowed = there
        if blocked is not None:
            allowed &= tl.load(blocked + row * blocked_row + n, mask=there, other=1) == 0
        found = tl.where(allowed, found, float("-inf"))
        tl.store(scores + n, found, mask=there)
        # softmax as it goes: what was summed so far shrinks when a larger score comes
        larger = tl.maximum(best, tl.max(found, axis=0))
        base = tl.where(larger == float("-inf"), 0.0, larger)
        weight = tl.exp(found - base)
        shrink = tl.exp(best - base)
        slot = load_slots(slots, n, slot_slot, last, v, value_width)
        total = total * shrink + tl.sum(weight, axis=0)
        sum_ = sum_ * shrink + tl.sum(weight[:, None] * slot, axis=0)
        best = larger
    one_over = tl.where(total == 0, 0.0, 1.0 / total)  # no slot may be read: all is zero
    base = tl.where(best == float("-inf"), 0.0, best)
    tl.store(sums + row * sum_row + v, sum_ * one_over, mask=v < value_width)
    tl.debug_barrier()  # other threads' scores are read
    for start in range(first, last, SLOTS):
        n = start + tl.arange(0, SLOTS)
        found = tl.load(scores + n, mask=n < last, other=0.0)
        tl.store(attention + n, tl.exp(found - base) * one_over, mask=n < last)


def read_backward(
    keys, slots, queries, score, attention, d_sums, d_attention, d_score, d_queries, d_keys,
    first, last,
):  # fmt: skip
    """Take ``read`` back where every row has its own sentence; the gradient of scores (B, n').

    Adds to ``d_score`` (B, H) and ``d_keys`` (B, n, H), which lack the factor v until the end,
    and writes ``d_queries`` (B, H).
    """
    rows, width = queries.shape
    d_weights = queries.new_empty(rows, last - first)
    d_scores = torch.empty_like(d_weights)
    _read_backward[(rows,)](
        *(keys, slots, queries, score, attention, d_sums, d_attention),
        *(d_score, d_queries, d_keys, d_weights, d_scores),
        *(first, last, width, slots.size(2)),
        *(*keys.stride()[:2], *slots.stride()[:2], queries.stride(0)),
        *(attention.stride(0), d_sums.stride(0)),
        *(0 if d_attention is None else d_attention.stride(0), d_score.stride(0)),
        *(d_queries.stride(0), *d_keys.stride()[:2]),
        **tiles(width, slots.size(2)),
    )
    return d_scores


@triton.jit(do_not_specialize=["first", "last"])
def _read_backward(
    keys, slots, queries, score, attention, d_sums, d_attention,
    d_score, d_queries, d_keys, d_weights, d_scores,
    first, last, width, value_width,
    key_row, key_slot, slot_row, slot_slot, query_row,
    attention_row, d_sum_row,
    d_attention_row, d_score_row,
    d_query_row, d_key_row, d_key_slot,
    WIDE: tl.constexpr, VALUES: tl.constexpr, SLOTS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    keys += row * key_row
    slots += row * slot_row
    attention += row * attention_row
    d_keys += row * d_key_row
    d_weights += row * (last - first) - first
    d_scores += row * (last - first) - first
    h = tl.arange(0, WIDE)
    v = tl.arange(0, VALUES)
    query = tl.load(queries + row * query_row + h, mask=h < width, other=0.0)
    d_sum = tl.load(d_sums + row * d_sum_row + v, mask=v < value_width, other=0.0)

    mean = tl.zeros((), query.dtype)
    for start in range(first, last, SLOTS):
        n = start + tl.arange(0, SLOTS)
        there = n < last
        slot = load_slots(slots, n, slot_slot, last, v, value_width)
        d_weight = tl.sum(slot * d_sum[None, :], axis=1)
        if d_attention is not None:
            d_weight += tl.load(d_attention + row * d_attention_row + n, mask=there, other=0.0)
        tl.store(d_weights + n, d_weight, mask=there)
        mean += tl.sum(tl.load(attention + n, mask=there, other=0.0) * d_weight, axis=0)
    tl.debug_barrier()  # other threads' d_weights are read

    d_query = tl.zeros((WIDE,), query.dtype)
    d_u = tl.zeros((WIDE,), query.dtype)
    for start in range(first, last, SLOTS):
        n = start + tl.arange(0, SLOTS)
        there = n < last
        inside = there[:, None] & (h < width)[None, :]
        d_weight = tl.load(d_weights + n, mask=there, other=0.0)
        found = tl.load(attention + n, mask=there, other=0.0) * (d_weight - mean)
        tl.store(d_scores + n, found, mask=there)
        key = load_slots(keys, n, key_slot, last, h, width)
        y = tanh(key + query[None, :])
        d_u += tl.sum(found[:, None] * y, axis=0)
        slope = found[:, None] * (1.0 - y * y)
        d_query += tl.sum(slope, axis=0)
        d_key = d_keys + n[:, None] * d_key_slot + h[None, :]
        tl.store(d_key, tl.load(d_key, mask=inside, other=0.0) + slope, mask=inside)
    u = tl.load(score + h, mask=h < width, other=0.0)
    tl.store(d_queries + row * d_query_row + h, d_query * u, mask=h < width)
    d_u += tl.load(d_score + row * d_score_row + h, mask=h < width, other=0.0)
    tl.store(d_score + row * d_score_row + h, d_u, mask=h < width)


def cell(gates, memory, fused, slot):
    """As ``cell.cell``."""
    rows, width = memory.shape
    _cell[(rows, triton.cdiv(width, ELEMENTS))](
        *(gates, memory, fused, slot, width),
        *(gates.stride(0), memory.stride(0), 0 if fused is None else fused.stride(0)),
        slot.stride(0),
        ELEMENTS=ELEMENTS,
    )


@triton.jit
def _cell(
    gates, memory, fused, slot, width,
    gate_row, memory_row, fused_row,
    slot_row,
    ELEMENTS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    h = tl.program_id(1) * ELEMENTS + tl.arange(0, ELEMENTS)
    there = h < width
    gate = gates + row * gate_row + h
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


def cell_backward(gates, memory, slot, d_slot, d_gates):
    """As ``cell.cell_backward``."""
    rows, width = memory.shape
    _cell_backward[(rows, triton.cdiv(width, ELEMENTS))](
        *(gates, memory, slot, d_slot, d_gates, width),
        *(gates.stride(0), memory.stride(0), slot.stride(0), d_slot.stride(0), d_gates.stride(0)),
        ELEMENTS=ELEMENTS,
    )


@triton.jit
def _cell_backward(
    gates, memory, slot, d_slot, d_gates, width,
    gate_row, memory_row, slot_row, d_slot_row, d_gate_row,
    ELEMENTS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    h = tl.program_id(1) * ELEMENTS + tl.arange(0, ELEMENTS)
    there = h < width
    gate = gates + row * gate_row + h
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
    d_gate = d_gates + row * d_gate_row + h
    tl.store(d_gate, d_state * candidate * write * (1.0 - write), mask=there)  # (8)
    tl.store(d_gate + width, d_state * before * keep * (1.0 - keep), mask=there)
    d_candidate = d_state * write * (1.0 - candidate * candidate)
    tl.store(d_gate + 2 * width, d_candidate, mask=there)
    tl.store(d_gate + 3 * width, d_hidden * tanh_state * show * (1.0 - show), mask=there)
    tl.store(d_slot, d_state, mask=there)
    tl.store(d_slot + width, d_state * keep, mask=there)
