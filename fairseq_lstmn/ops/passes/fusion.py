"""What a read of the source changes in a step: deep fusion joins the cell, shallow the gates.

B batch, T steps, S source length, H hidden width. ``d_x`` is the gradient of x.
"""

import torch

sigmoid_backward = torch.ops.aten.sigmoid_backward


def fusion(kernels, weights, trace):
    """The fusion of a layer whose ``Trace`` has a source; None without one."""
    if trace.source_slots is None:
        return None
    return (Shallow if trace.fusion_gates is None else Deep)(kernels, weights)


class Fusion:
    """Reads the source at every step.

    ``kernels`` have ``read`` and ``read_backward`` (see ``step_kernels``).
    """

    def __init__(self, kernels, weights):
        self.kernels, self.weights = kernels, weights

    def read(self, trace, t, follows, masked):
        """Write the sums of step t, which are returned; ``follows`` (B, H) is in the query."""
        if self.weights.source_query is not None:
            trace.source_queries[:, t].addmm_(follows, self.weights.source_query.T)
        sums = trace.source_summaries[:, t + 1]
        self.kernels.read(
            trace.source_keys,
            trace.source_slots,
            trace.source_queries[:, t],
            self.weights.source_score,
            None,
            masked,
            trace.source_attention[:, t],
            sums,
            0,
            trace.source_keys.size(1),
        )
        return sums

    def read_backward(self, trace, d, given, t):
        """Take ``read`` back as far as the query, ``d.source_queries``."""
        given = given.source_attention
        self.kernels.read_backward(
            trace.source_keys,
            trace.source_slots,
            trace.source_queries[:, t],
            self.weights.source_score,
            trace.source_attention[:, t],
            d.source_sums[:, t],
            None if given is None else given[:, t].contiguous(),
            d.source_score,
            d.source_queries[:, t],
            d.source_keys,
            0,
            trace.source_keys.size(1),
        )


class Deep(Fusion):
    """Equations (12)-(15): the query follows g~_{t-1}, and r_t * al~_t joins the cell."""

    def forward(self, trace, t, gates, masked):
        """What joins c_t, (B, H)."""
        width = trace.keys.size(2)
        follows = trace.source_summaries[:, t, :width]
        context, memory = self.read(trace, t, follows, masked).split(width, dim=1)  # (12)-(13)
        gate = trace.fusion_gates[:, t]
        gate += context @ self.weights.source_gate.T
        return gate.sigmoid_() * memory  # (14)

    def backward(self, trace, d, given, t, d_cell):
        """Take step t back, given the gradient of c_t (B, H); nothing is wanted of h~_t."""
        width = trace.keys.size(2)
        gate, memory = trace.fusion_gates[:, t], trace.source_summaries[:, t + 1, width:]
        d_gate = sigmoid_backward(d_cell * memory, gate)
        d.fusion_gates[:, t] = d_gate
        d_context, d_memory = d.source_sums[:, t].split(width, dim=1)
        torch.mm(d_gate, self.weights.source_gate, out=d_context)
        if t + 1 < d.source_queries.size(1):  # the next step's query
            d_context.addmm_(d.source_queries[:, t + 1], self.weights.source_query)
        if given.source_summaries is not None:
            d_context += given.source_summaries[:, t]
        torch.mul(d_cell, gate, out=d_memory)
        self.read_backward(trace, d, given, t)

    def followed(self, trace):
        """What queries followed, (B, T, H)."""
        return trace.source_summaries[:, :-1, : trace.keys.size(2)]

    def gated(self, d):
        """The gradient of what the context was multiplied for, (B, T, H)."""
        return d.fusion_gates

    def d_source_summary(self, d):
        """The gradient (B, H) of g~_0, which the first query follows."""
        return d.source_queries[:, 0] @ self.weights.source_query


class Shallow(Fusion):
    """The query follows h~_t, if anything, and the context g~_t joins the gates."""

    def forward(self, trace, t, gates, masked):
        """None: nothing joins c_t. ``gates`` (B, 4H) are added to."""
        follows = trace.summaries[:, t + 1, : trace.keys.size(2)]
        gates += self.read(trace, t, follows, masked) @ self.weights.source_gate.T

    def backward(self, trace, d, given, t, d_cell):
        """Take step t back; what its query wants of h~_t (B, H), or None."""
        d_context = d.source_sums[:, t]
        torch.mm(d.gates[:, t], self.weights.source_gate, out=d_context)
        if given.source_summaries is not None:
            d_context += given.source_summaries[:, t]
        self.read_backward(trace, d, given, t)
        if self.weights.source_query is not None:
            return d.source_queries[:, t] @ self.weights.source_query

    def followed(self, trace):
        """What queries followed, (B, T, H)."""
        return trace.summaries[:, 1:, : trace.keys.size(2)]

    def gated(self, d):
        """The gradient of what the context was multiplied for, (B, T, 4H)."""
        return d.gates

    def d_source_summary(self, d):
        """None: no query follows g~_0."""
