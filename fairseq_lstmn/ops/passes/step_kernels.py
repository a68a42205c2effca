"""The four kernels of a step in plain torch: the attention that reads slots, the cell, and back.

Compiled backends have the same four, argument for argument. B batch, G sentences, n slots, H
hidden width, V width of a slot: 2H for [hidden; memory], or H. Gates stand in torch's order:
input, forget, candidate, output. ``d_x`` is the gradient of x.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK = 2**18  # elements: 1 MiB in float32, at home in a core's L2 cache
sigmoid_backward = torch.ops.aten.sigmoid_backward
tanh_backward = torch.ops.aten.tanh_backward


def read(
    keys: Tensor, slots: Tensor, queries: Tensor, score: Tensor,
    bias: Tensor | None, blocked: Tensor | None,
    attention: Tensor, sums: Tensor, first: int, last: int,
) -> None:  # fmt: skip
    """Read the slots ``first`` to ``last``: weights softmax_i(v . tanh(k_i + q)), and their sum.

    Equations (4)-(6) and (12)-(13). Each sentence is read by B / G successive rows.

    Args:
        keys (G, n, H), slots (G, n, V): what is read; queries (B, H), score (H,): v.
        bias (n,): added to the scores, its last entry to the newest slot's; or None.
        blocked (B, n): True at slots that may not be read; or None.
        attention (B, n), sums (B, V): written, of the former only these slots' columns.
    """
    sentences = len(keys), len(queries) // max(1, len(keys))  # (G, B / G)
    seen = slice(first, last)
    scores = queries.new_empty(*sentences, last - first)
    for block, tanh in tanh_blocks(keys[:, seen], queries.unflatten(0, sentences)):
        torch.matmul(tanh, score, out=scores[block])
    scores = scores.flatten(0, 1)
    if bias is not None:
        scores += bias[len(bias) - scores.size(1) :]
    if blocked is not None:
        scores.masked_fill_(blocked[:, seen], torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=1)
    if blocked is not None:
        weights.masked_fill_(blocked[:, seen], 0)
    attention[:, seen] = weights
    sums.copy_(torch.bmm(weights.unflatten(0, sentences), slots[:, seen]).flatten(0, 1))


def tanh_blocks(keys: Tensor, queries: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of G with their tanh(key_i + query) (g, B / G, n, H), which live until the next.

    The tanh of all rows is made in blocks that fit a core's cache, and never kept.
    ``keys`` (G, n, H), ``queries`` (G, B / G, H).
    """
    sentences, readers, width = queries.shape
    shape = readers, keys.size(1), width
    rows = max(1, sentences)
    if keys.device.type == "cpu":
        rows = BLOCK * torch.get_num_threads() // max(1, math.prod(shape))
        rows = max(1, min(sentences, rows))
    buffer = keys.new_empty(rows, *shape)
    for first in range(0, sentences, rows):
        block = slice(first, first + rows)
        tanh = buffer[: min(rows, sentences - first)]
        torch.add(keys[block].unsqueeze(1), queries[block].unsqueeze(2), out=tanh)
        yield block, tanh.tanh_()


def read_backward(
    keys: Tensor, slots: Tensor, queries: Tensor, score: Tensor, attention: Tensor,
    d_sums: Tensor, d_attention: Tensor | None,
    d_score: Tensor, d_queries: Tensor, d_keys: Tensor, first: int, last: int,
) -> Tensor:  # fmt: skip
    """Take ``read`` back, a row a sentence; return the gradient of the scores (B, n').

    The gradients of the slots are left to products over many steps.

    Args:
        attention (B, n): what ``read`` wrote.
        d_sums (B, V), d_attention (B, n) or None: what comes from outside.
        d_score (B, H), d_keys (B, n, H): added to, the latter without the factor v.
        d_queries (B, H): written.
    """
    seen = slice(first, last)
    weights = attention[:, seen]
    d_weights = torch.bmm(slots[:, seen], d_sums.unsqueeze(2)).squeeze(2)
    if d_attention is not None:
        d_weights += d_attention[:, seen]
    d_scores = weights * (d_weights - (weights * d_weights).sum(dim=1, keepdim=True))
    one = d_scores.new_ones(())
    for rows, tanh in tanh_blocks(keys[:, seen], queries.unsqueeze(1)):
        tanh = tanh.squeeze(1)
        across = d_scores[rows].unsqueeze(1)
        d_score[rows] += torch.bmm(across, tanh).squeeze(1)
        slope = torch.addcmul(one, tanh, tanh, value=-1, out=tanh)
        d_queries[rows] = torch.bmm(across, slope).squeeze(1)
        d_keys[rows, seen].addcmul_(slope, d_scores[rows].unsqueeze(2))
    d_queries *= score
    return d_scores


def cell(gates: Tensor, memory: Tensor, fused: Tensor | None, slot: Tensor) -> None:
    """Equations (7)-(9): write [h_t; c_t] into ``slot`` (B, 2H), activate ``gates`` in place.

    ``gates`` (B, 4H); ``memory`` (B, H) is c~_t; ``fused`` (B, H) joins c_t in deep fusion (15),
    else None.
    """
    width = memory.size(1)
    gates[:, : 2 * width].sigmoid_()
    gates[:, 2 * width : 3 * width].tanh_()
    gates[:, 3 * width :].sigmoid_()
    write, keep, candidate, show = gates.chunk(4, dim=1)
    state = (keep * memory).addcmul_(write, candidate)  # (8)
    if fused is not None:
        state += fused  # (15)
    slot[:, width:] = state
    slot[:, :width] = show * state.tanh()  # (9), (16)


def cell_backward(
    gates: Tensor, memory: Tensor, slot: Tensor, d_slot: Tensor, d_gates: Tensor
) -> None:
    """Take ``cell`` back: write ``d_gates`` (B, 4H), and [d c_t; d c~_t] over ``d_slot`` (B, 2H).

    ``d_slot`` comes as the gradient of [h_t; c_t] from outside the step; the d c_t that is written
    has what flows through (9) as well.
    """
    width = memory.size(1)
    write, keep, candidate, show = gates.chunk(4, dim=1)
    d_state, d_cell = d_slot.split(width, dim=1)
    tanh_cell = slot[:, width:].tanh()
    d_write, d_keep, d_candidate, d_show = d_gates.chunk(4, dim=1)
    d_show.copy_(sigmoid_backward(d_state * tanh_cell, show))
    d_cell = d_cell + tanh_backward(d_state * show, tanh_cell)  # (9)
    d_write.copy_(sigmoid_backward(d_cell * candidate, write))  # (8)
    d_keep.copy_(sigmoid_backward(d_cell * memory, keep))
    d_candidate.copy_(tanh_backward(d_cell * write, candidate))
    torch.cat([d_cell, d_cell * keep], dim=1, out=d_slot)
