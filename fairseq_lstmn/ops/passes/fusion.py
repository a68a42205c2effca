"""What attention to the source changes in a step: deep fusion joins the cell, shallow the gates.

B batch, T steps, S source length, G sentences, H hidden width. ``grad_x`` is the gradient of x.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from fairseq_lstmn.ops.passes.inputs import Results
from fairseq_lstmn.ops.passes.saved import Gradients, SavedActivations, SavedForBackward

sigmoid_backward = torch.ops.aten.sigmoid_backward


def fusion(step_kernels: Any, saved: SavedForBackward) -> Shallow | Deep | None:
    """The fusion of a layer; None without a source."""
    if saved.source_keys is None:
        return None
    kind = Shallow if saved.activations.fusion_gates is None else Deep
    return kind(step_kernels, saved)


class Fusion:
    """Attends to the source at every step.

    ``step_kernels`` have ``attend`` and ``attend_backward``. ``a`` are the activations of the rows
    that have step t, ``grad`` their gradients.
    """

    def __init__(self, step_kernels: Any, saved: SavedForBackward) -> None:
        self.step_kernels = step_kernels
        self.keys, self.slots = saved.source_keys, saved.source_slots
        self.query = saved.weights.source_query
        self.score, self.gate = (
            cast(Tensor, weight)
            for weight in (saved.weights.source_score, saved.weights.source_gate)
        )

    def attend(
        self, a: SavedActivations, t: int, follows: Tensor, blocked: Tensor | None
    ) -> Tensor:
        """Write the sums of step t, which are returned; ``follows`` (B, H) is in the query."""
        queries: Tensor = a.source_queries[:, t]
        if self.query is not None:
            queries.addmm_(follows, self.query.T)
        sums: Tensor = a.source_summaries[:, t + 1]
        rows = slice(len(queries))
        self.step_kernels.attend(
            *(self.keys[rows], self.slots[rows], queries, self.score),
            *(None, blocked, a.source_attention[:, t], sums),
            *(0, self.keys.size(1)),
        )
        return sums

    def attend_backward(
        self, a: SavedActivations, grad: Gradients, grad_results: Results, t: int
    ) -> None:
        """The backward pass of ``attend`` as far as the query, ``grad.source_queries``."""
        grad_attention = grad_results.source_attention
        rows = slice(len(a.queries))
        self.step_kernels.attend_backward(
            *(self.keys[rows], self.slots[rows], a.source_queries[:, t], self.score),
            *(a.source_attention[:, t], a.source_summaries[:, t + 1], grad.source_sums[:, t]),
            None if grad_attention is None else grad_attention[:, t].contiguous(),
            *(grad.source_score, grad.source_queries[:, t], grad.source_keys, None),
            *(0, self.keys.size(1)),
        )


class Deep(Fusion):
    """Equations (12)-(15): the query follows g~_{t-1}, and r_t * al~_t joins the cell."""

    def forward(self, a: SavedActivations, t: int, gates: Tensor, blocked: Tensor | None) -> Tensor:
        """What joins c_t, (B, H)."""
        width = a.keys.size(2)
        follows = a.source_summaries[:, t, :width]
        context, memory = self.attend(a, t, follows, blocked).split(width, dim=1)  # (12)-(13)
        gate: Tensor = a.fusion_gates[:, t]
        gate.addmm_(context, self.gate.T)
        return cast(Tensor, gate.sigmoid_() * memory)  # (14)

    def backward(
        self, a: SavedActivations, grad: Gradients, grad_results: Results, t: int, grad_cell: Tensor
    ) -> None:
        """Of step t, from the gradient of c_t (B, H); h~_t gets none."""
        width = a.keys.size(2)
        gate, memory = a.fusion_gates[:, t], a.source_summaries[:, t + 1, width:]
        grad_gate = sigmoid_backward(grad_cell * memory, gate)
        grad.fusion_gates[:, t] = grad_gate
        grad_context, grad_memory = grad.source_sums[:, t].split(width, dim=1)
        torch.mm(grad_gate, self.gate, out=grad_context)
        if t + 1 < grad.source_queries.size(1):  # the next step's query
            grad_context.addmm_(grad.source_queries[:, t + 1], self.query)
        if grad_results.source_summaries is not None:
            grad_context += grad_results.source_summaries[:, t]
        torch.mul(grad_cell, gate, out=grad_memory)
        self.attend_backward(a, grad, grad_results, t)

    def followed(self, a: SavedActivations) -> Tensor:
        """What queries followed, (B, T, H)."""
        return cast(Tensor, a.source_summaries[:, :-1, : a.keys.size(2)])

    def grad_gate(self, grad: Gradients) -> Tensor:
        """The gradient of what the context was multiplied for, (B, T, H)."""
        return cast(Tensor, grad.fusion_gates)

    def grad_source_summary(self, grad: Gradients) -> Tensor:
        """The gradient (B, H) of g~_0, which the first query follows."""
        return cast(Tensor, grad.source_queries[:, 0] @ self.query)


class Shallow(Fusion):
    """The query follows h~_t, if anything, and the context g~_t joins the gates."""

    def forward(self, a: SavedActivations, t: int, gates: Tensor, blocked: Tensor | None) -> None:
        """None: nothing joins c_t. ``gates`` (B, 4H) are added to."""
        follows = a.summaries[:, t + 1, : a.keys.size(2)]
        gates.addmm_(self.attend(a, t, follows, blocked), self.gate.T)

    def backward(
        self, a: SavedActivations, grad: Gradients, grad_results: Results, t: int, grad_cell: Tensor
    ) -> Tensor | None:
        """Of step t; the gradient (B, H) of h~_t through its query, or None."""
        grad_context = grad.source_sums[:, t]
        torch.mm(grad.gates[:, t], self.gate, out=grad_context)
        if grad_results.source_summaries is not None:
            grad_context += grad_results.source_summaries[:, t]
        self.attend_backward(a, grad, grad_results, t)
        if self.query is None:
            return None
        return cast(Tensor, grad.source_queries[:, t] @ self.query)

    def followed(self, a: SavedActivations) -> Tensor:
        """What queries followed, (B, T, H)."""
        return a.summaries[:, 1:, : a.keys.size(2)]

    def grad_gate(self, grad: Gradients) -> Tensor:
        """The gradient of what the context was multiplied for, (B, T, 4H)."""
        return grad.gates

    def grad_source_summary(self, grad: Gradients) -> Tensor:
        """Zeros: no query follows g~_0."""
        return torch.zeros_like(grad.queries[:, 0])
