"""The four kernels of a step in plain torch: attention over slots, the cell, and back.

Compiled backends have the same four, argument for argument. B batch, G sentences, n slots, m later
steps, H hidden width, V width of a slot: 2H for [hidden; memory], or H. Gates stand in torch's
order: input, forget, candidate, output. ``grad_x`` is the gradient of x.
"""

import math
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

BLOCK = 2**18  # elements: 1 MiB in float32, at home in a core's L2 cache
sigmoid_backward = torch.ops.aten.sigmoid_backward
tanh_backward = torch.ops.aten.tanh_backward


def of_a_pass(like: Tensor) -> Any:
    """What has the four for a pass on the device of ``like``: here this module."""
    return sys.modules[__name__]


def attend(
    keys: Tensor, slots: Tensor, queries: Tensor, score: Tensor,
    bias: Tensor | None, blocked: Tensor | None,
    attention: Tensor, sums: Tensor, first: int, last: int,
) -> None:  # fmt: skip
    """Attend to slots ``first`` to ``last``: weights softmax_i(v . tanh(k_i + q)), and their sum.

    Equations (4)-(6) and (12)-(13). Each sentence is attended by B / G successive rows.

    Args:
        keys (G, n, H), slots (G, n, V): what is attended; queries (B, H), score (H,): v.
        bias (n,): added to the scores, its last entry to the newest slot's; or None.
        blocked (B, n): True at slots that may not be attended; or None.
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

    The tanh of all rows is computed in blocks that fit a core's cache, and never saved.
    ``keys`` (G, n, H), ``queries`` (G, B / G, H).
    """
    sentences, count, width = queries.shape
    shape = count, keys.size(1), width
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


def attend_backward(
    keys: Tensor, slots: Tensor, queries: Tensor, score: Tensor, attention: Tensor, sums: Tensor,
    grad_sums: Tensor, grad_attention: Tensor | None,
    grad_score: Tensor, grad_queries: Tensor, grad_keys: Tensor, grad_bias: Tensor | None,
    first: int, last: int,
) -> None:  # fmt: skip
    """The backward pass of ``attend``, a row a sentence.

    The gradients of the slots are left to products over many steps.

    Args:
        attention (B, n), sums (B, V): what ``attend`` wrote.
        grad_sums (B, V), grad_attention (B, n) or None: what comes from outside.
        grad_score (B, H), grad_keys (B, n, H): added to, the latter without the factor v.
        grad_queries (B, H): written.
        grad_bias (B, n): added to, each row's own, its last entry the newest slot's; or None.
    """
    if last - first <= 1:  # the weight of a slot alone is 1, whatever its score
        grad_queries.zero_()
        return
    seen = slice(first, last)
    weights = attention[:, seen]
    grad_weights = torch.bmm(slots[:, seen], grad_sums.unsqueeze(2)).squeeze(2)
    mean = (sums * grad_sums).sum(dim=1, keepdim=True)  # of grad_weights, by the weights
    if grad_attention is not None:
        grad_weights += grad_attention[:, seen]
        mean += (weights * grad_attention[:, seen]).sum(dim=1, keepdim=True)
    grad_scores = weights * (grad_weights - mean)
    if grad_bias is not None:
        grad_bias[:, grad_bias.size(1) - grad_scores.size(1) :] += grad_scores
    one = grad_scores.new_ones(())
    for rows, tanh in tanh_blocks(keys[:, seen], queries.unsqueeze(1)):
        tanh = tanh.squeeze(1)
        across = grad_scores[rows].unsqueeze(1)
        grad_score[rows] += torch.bmm(across, tanh).squeeze(1)
        slope = torch.addcmul(one, tanh, tanh, value=-1, out=tanh)
        grad_queries[rows] = torch.bmm(across, slope).squeeze(1)
        grad_keys[rows, seen].addcmul_(slope, grad_scores[rows].unsqueeze(2))
    grad_queries *= score


def cell(
    products: Tensor, gates: Tensor, query: Tensor | None,
    memory: Tensor, fused: Tensor | None, slot: Tensor,
) -> None:  # fmt: skip
    """Equations (7)-(9), and h~_t's part in the next query.

    Args:
        products (B, 5H): h~_t's parts in the gates and in the next query; without one (B, 4H).
        gates (B, 4H): the other parts; activated in place.
        query (B, H): the other part in the next query (4), added to in place; or None.
        memory (B, H): c~_t.
        fused (B, H): joins c_t in deep fusion (15), else None.
        slot (B, 2H): written, [h_t; c_t].
    """
    width = memory.size(1)
    gates += products[:, : 4 * width]
    if query is not None:
        query += products[:, 4 * width :]
    gates[:, : 2 * width].sigmoid_()
    gates[:, 2 * width : 3 * width].tanh_()
    gates[:, 3 * width :].sigmoid_()
    input_, forget, candidate, output = gates.chunk(4, dim=1)
    state = (forget * memory).addcmul_(input_, candidate)  # (8)
    if fused is not None:
        state += fused  # (15)
    slot[:, width:] = state
    slot[:, :width] = output * state.tanh()  # (9), (16)


def cell_backward(
    gates: Tensor, memory: Tensor, slot: Tensor, attention: Tensor, grad_sums: Tensor,
    grad_slot: Tensor, grad_gates: Tensor,
) -> None:  # fmt: skip
    """The backward pass of ``cell``, but of the query, which is the same as its part's.

    Args:
        gates (B, 4H), memory (B, H), slot (B, 2H): as ``cell`` left them.
        attention (B, m), grad_sums (B, m, 2H): later steps' weights for the slot, and the
            gradients of their sums.
        grad_slot (B, 2H): the gradient of [h_t; c_t] from elsewhere; written over with that of
            [c_t; c~_t], the former with what flows through (9) as well.
        grad_gates (B, 4H): written.
    """
    width = memory.size(1)
    if attention.size(1):
        grad_slot += torch.bmm(attention.unsqueeze(1), grad_sums).squeeze(1)
    input_, forget, candidate, output = gates.chunk(4, dim=1)
    grad_state, grad_cell = grad_slot.split(width, dim=1)
    tanh_cell = slot[:, width:].tanh()
    grad_input, grad_forget, grad_candidate, grad_output = grad_gates.chunk(4, dim=1)
    grad_output.copy_(sigmoid_backward(grad_state * tanh_cell, output))
    grad_cell = grad_cell + tanh_backward(grad_state * output, tanh_cell)  # (9)
    grad_input.copy_(sigmoid_backward(grad_cell * candidate, input_))  # (8)
    grad_forget.copy_(sigmoid_backward(grad_cell * memory, forget))
    grad_candidate.copy_(tanh_backward(grad_cell * input_, candidate))
    torch.cat([grad_cell, grad_cell * forget], dim=1, out=grad_slot)
