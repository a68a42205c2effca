"""What a read of the source changes in a step: deep fusion joins the cell, shallow the gates.

B batch, T steps, S source length, H hidden width. ``d_x`` is the gradient of x.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fairseq_lstmn.ops.passes.trace import Trace
from fairseq_lstmn.ops.types import Results, Weights

if TYPE_CHECKING:  # backward imports this module
    from fairseq_lstmn.ops.passes.backward import Gradients

sigmoid_backward = torch.ops.aten.sigmoid_backward


def fusion(kernels: Any, weights: Weights, trace: Trace) -> Shallow | Deep | None:
    """The fusion of a layer whose ``Trace`` has a source; None without one."""
    if trace.source_slots is None:
        return None
    return (Shallow if trace.fusion_gates is None else Deep)(kernels, weights)


class Fusion:
    """Reads the source at every step.

    ``kernels`` have ``read`` and ``read_backward`` (see ``step_kernels``).
    """

    def __init__(self, kernels: Any, weights: Weights) -> None:
        assert weights.source_score is not None and weights.source_gate is not None
        self.kernels, self.source_query = kernels, weights.source_query
        self.source_score, self.source_gate = weights.source_score, weights.source_gate

    def read(self, trace: Trace, t: int, follows: Tensor, masked: Tensor | None) -> Tensor:
        """Write the sums of step t, which are returned; ``follows`` (B, H) is in the query."""
        if self.source_query is not None:
            trace.source_queries[:, t].addmm_(follows, self.source_query.T)
        sums: Tensor = trace.source_summaries[:, t + 1]
        self.kernels.read(
            trace.source_keys,
            trace.source_slots,
            trace.source_queries[:, t],
            self.source_score,
            None,
            masked,
            trace.source_attention[:, t],
            sums,
            0,
            trace.source_keys.size(1),
        )
        return sums

    def read_backward(self, trace: Trace, d: Gradients, given: Results, t: int) -> None:
        """Take ``read`` back as far as the query, ``d.source_queries``."""
        d_attention = given.source_attention
        self.kernels.read_backward(
            trace.source_keys,
            trace.source_slots,
            trace.source_queries[:, t],
            self.source_score,
            trace.source_attention[:, t],
            d.source_sums[:, t],
            None if d_attention is None else d_attention[:, t].contiguous(),
            d.source_score,
            d.source_queries[:, t],
            d.source_keys,
            0,
            trace.source_keys.size(1),
        )


class Deep(Fusion):
    """Equations (12)-(15): the query follows g~_{t-1}, and r_t * al~_t joins the cell."""

    def forward(self, trace: Trace, t: int, gates: Tensor, masked: Tensor | None) -> Tensor:
        """What joins c_t, (B, H)."""
        width = trace.keys.size(2)
        follows = trace.source_summaries[:, t, :width]
        context, memory = self.read(trace, t, follows, masked).split(width, dim=1)  # (12)-(13)
        gate: Tensor = trace.fusion_gates[:, t]
        gate += context @ self.source_gate.T
        joins: Tensor = gate.sigmoid_() * memory  # (14)
        return joins

    def backward(self, trace: Trace, d: Gradients, given: Results, t: int, d_cell: Tensor) -> None:
        """Take step t back, given the gradient of c_t (B, H); nothing is wanted of h~_t."""
        width = trace.keys.size(2)
        gate, memory = trace.fusion_gates[:, t], trace.source_summaries[:, t + 1, width:]
        d_gate = sigmoid_backward(d_cell * memory, gate)
        d.fusion_gates[:, t] = d_gate
        d_context, d_memory = d.source_sums[:, t].split(width, dim=1)
        torch.mm(d_gate, self.source_gate, out=d_context)
        if t + 1 < d.source_queries.size(1):  # the next step's query
            d_context.addmm_(d.source_queries[:, t + 1], self.source_query)
        if given.source_summaries is not None:
            d_context += given.source_summaries[:, t]
        torch.mul(d_cell, gate, out=d_memory)
        self.read_backward(trace, d, given, t)

    def followed(self, trace: Trace) -> Tensor:
        """What queries followed, (B, T, H)."""
        followed: Tensor = trace.source_summaries[:, :-1, : trace.keys.size(2)]
        return followed

    def gated(self, d: Gradients) -> Tensor:
        """The gradient of what the context was multiplied for, (B, T, H)."""
        gated: Tensor = d.fusion_gates
        return gated

    def d_source_summary(self, d: Gradients) -> Tensor:
        """The gradient (B, H) of g~_0, which the first query follows."""
        wanted: Tensor = d.source_queries[:, 0] @ self.source_query
        return wanted


class Shallow(Fusion):
    """The query follows h~_t, if anything, and the context g~_t joins the gates."""

    def forward(self, trace: Trace, t: int, gates: Tensor, masked: Tensor | None) -> None:
        """None: nothing joins c_t. ``gates`` (B, 4H) are added to."""
        follows = trace.summaries[:, t + 1, : trace.keys.size(2)]
        gates += self.read(trace, t, follows, masked) @ self.source_gate.T

    def backward(
        self, trace: Trace, d: Gradients, given: Results, t: int, d_cell: Tensor
    ) -> Tensor | None:
        """Take step t back; what its query wants of h~_t (B, H), or None."""
        d_context = d.source_sums[:, t]
        torch.mm(d.gates[:, t], self.source_gate, out=d_context)
        if given.source_summaries is not None:
            d_context += given.source_summaries[:, t]
        self.read_backward(trace, d, given, t)
        if self.source_query is None:
            return None
        wanted: Tensor = d.source_queries[:, t] @ self.source_query
        return wanted

    def followed(self, trace: Trace) -> Tensor:
        """What queries followed, (B, T, H)."""
        return trace.summaries[:, 1:, : trace.keys.size(2)]

    def gated(self, d: Gradients) -> Tensor:
        """The gradient of what the context was multiplied for, (B, T, 4H)."""
        return d.gates

    def d_source_summary(self, d: Gradients) -> None:
        """None: no query follows g~_0."""
