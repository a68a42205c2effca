"""The backward pass: steps from last to first, weights in one product at the end.

B batch, T steps, P prefix slots, S source length, H hidden width. ``grad_x`` is the gradient of x.

    grad.slots    [ prefix | slot 1 | ... | slot T ]      (B, P + T, 2H)
    sums                   [ step 1 | ... | step T ]      (B, T, 2H), the same memory

A slot's gradient is no longer needed when its step's backward pass is over; in its place comes the
gradient of the sums that this step attended to, from which earlier slots' gradients follow.

h~_t is in the gates of step t and in the next query, whose gradients stand side by side:

    products               [ zeros, query 1 | gates 1, query 2 | ... | gates T, zeros ]
"""

from typing import Any

import torch
from torch import Tensor

from fairseq_lstmn.ops.passes.fusion import fusion
from fairseq_lstmn.ops.passes.inputs import Inputs, Results
from fairseq_lstmn.ops.passes.saved import (
    Gradients,
    SavedForBackward,
    first,
    relative_distance_index,
    segments,
    window,
)
from fairseq_lstmn.ops.types import Source, Tape, Weights, mapped

TOGETHER = 16  # steps whose gradients of earlier slots are summed in one product


class Backward:
    """The gradients under way; ``activations``, ``grad_results`` and ``grad`` of the rows at work.

    ``step_kernels`` have ``attend_backward`` and ``cell_backward``.
    """

    def __init__(self, step_kernels: Any, saved: SavedForBackward, grad_results: Results) -> None:
        self.step_kernels, self.saved, self.weights = step_kernels, saved, saved.weights
        self.activations, self.grad_results = saved.activations, grad_results
        self.grad = Gradients.allocate(saved)
        self.fuse = fusion(step_kernels, saved)
        self.batch, self.steps, self.width = self.activations.queries.shape
        self.prefix = self.activations.keys.size(1) - self.steps
        self.summed = self.steps  # grad.slots has what these and later steps add to earlier slots
        self.grad_biases: Tensor | None = None  # (P + T,); while steps are under way (B, P + T)

    def inputs(self) -> Inputs:
        """The backward pass of all steps; the gradients of ``Inputs``."""
        self.all_steps()
        return Inputs(
            query_inputs=self.grad.queries,
            gate_inputs=self.grad.gates,
            weights=self.grad_weights(),
            tape=self.grad_tape(),
            source=self.grad_source(),
            memory_span=0,  # which has no gradient
            distance_bias=self.grad_distance_bias(),
        )

    def all_steps(self) -> None:
        """The gradients of everything but weights."""
        final, rows = self.grad, self.saved.rows
        self.products = final.gates.new_zeros(self.batch, 1 + self.steps, 5 * self.width)
        gates, queries = self.products.split([4 * self.width, self.width], dim=2)
        self.grad = final._replace(gates=gates[:, 1:], queries=queries[:, :-1])
        self.start()
        whole = self.of_rows
        for span, count in reversed(segments(rows, self.batch, self.steps)):
            self.of_rows = first(count, whole)
            for t in reversed(span):
                self.step(t)
        self.of_rows = whole
        self.end()
        final.gates.copy_(self.grad.gates)
        final.queries.copy_(self.grad.queries)
        self.grad = final

    @property
    def of_rows(self) -> Any:
        """All that has a row for each of the rows at work."""
        return self.activations, self.grad_results, self.grad, self.grad_biases, self.products

    @of_rows.setter
    def of_rows(self, parts: Any) -> None:
        self.activations, self.grad_results, self.grad, self.grad_biases, self.products = parts

    def start(self) -> None:
        """Before the last step's backward pass: zeros, and the slots' gradients as results."""
        weights, grad, of_keys = self.weights, self.grad, self.grad_results.keys
        zeros = grad._replace(slots=None, gates=None, queries=None)  # type: ignore[arg-type]
        mapped(Tensor.zero_, zeros)
        of_slots = self.grad_results.hidden, self.grad_results.memory
        for part, result in zip(grad.slots.chunk(2, dim=2), of_slots):
            part.zero_() if result is None else part.copy_(result)
        if of_keys is not None:
            own = slice(self.prefix, None)
            grad.slots[:, own, : self.width] += of_keys[:, own] @ weights.key
        # (5H, H), and (H, H) with the factor v that keys' gradients lack
        self.from_summary = torch.cat([weights.summary_gates, weights.summary_query])
        self.scored_key = weights.key * weights.score.unsqueeze(1)
        if self.saved.distance_bias is not None:
            self.grad_biases = grad.keys.new_zeros(self.batch, self.prefix + self.steps)

    def end(self) -> None:
        """After the first step's: what is summed over all of them."""
        self.sum_attention(0)
        own_keys = self.grad.keys[:, self.prefix :].mul_(self.weights.score)
        if self.grad_results.keys is not None:
            own_keys += self.grad_results.keys[:, self.prefix :]
        if self.grad_biases is not None:
            self.grad_biases = self.grad_biases.sum(dim=0)

    def step(self, t: int) -> None:
        """Step t, when all later ones are over."""
        slot = self.prefix + t
        if self.summed - (t + 1) >= TOGETHER:
            self.sum_attention(t + 1)
        grad_slot, later = self.grad.slots[:, slot], slice(t + 1, self.summed)
        grad_slot[:, : self.width].addmm_(self.grad.keys[:, slot], self.scored_key)
        self.step_kernels.cell_backward(
            self.activations.gates[:, t],
            self.activations.summaries[:, t + 1, self.width :],
            self.activations.slots[:, slot],
            self.activations.attention[:, later, slot],
            self.grad_sums[:, later],
            grad_slot,
            self.grad.gates[:, t],
        )
        # the one, then in its place the other
        grad_cell = grad_summary = grad_slot[:, : self.width]
        through_query = None
        if self.fuse is not None:
            through_query = self.fuse.backward(
                self.activations, self.grad, self.grad_results, t, grad_cell
            )
        torch.mm(self.products[:, t + 1], self.from_summary, out=grad_summary)  # (7), the next (4)
        if through_query is not None:
            grad_summary += through_query
        if self.grad_results.summaries is not None:
            grad_summary += self.grad_results.summaries[:, t]
        self.attend_backward(t)

    @property
    def grad_sums(self) -> Tensor:
        """(B, T, 2H), where that of the slot stood."""
        return self.grad.slots[:, self.prefix :]

    def sum_attention(self, start: int) -> None:
        """Add to ``grad.slots`` before step ``start`` what comes from it and the steps after it."""
        attended, steps = (
            window(self.prefix + start, self.saved.memory_span),
            slice(start, self.summed),
        )
        self.grad.slots[:, attended] += grad_slots(
            self.activations.attention, self.grad_sums, attended, steps
        )
        self.summed = start

    def attend_backward(self, t: int) -> None:
        """Attention to the own tape at step t."""
        attended = window(self.prefix + t, self.saved.memory_span)
        a, grad_attention = self.activations, self.grad_results.attention
        self.step_kernels.attend_backward(
            *(a.keys, a.slots, a.queries[:, t], self.weights.score, a.attention[:, t]),
            *(a.summaries[:, t + 1], self.grad_sums[:, t]),
            None if grad_attention is None else grad_attention[:, t].contiguous(),
            *(self.grad.score, self.grad.queries[:, t], self.grad.keys, self.grad_biases),
            *(attended.start, attended.stop),
        )

    def grad_distance_bias(self) -> Tensor | None:
        """(R + 1,): slots at the same or a farther distance share an entry."""
        bias = self.saved.distance_bias
        if bias is None or self.grad_biases is None:
            return None
        index = relative_distance_index(bias, len(self.grad_biases))
        # in the same order every time, which index_add_ is not on CUDA devices
        return torch.zeros_like(bias).index_put_((index,), self.grad_biases, accumulate=True)

    def grad_weights(self) -> Weights:
        """Each weight's gradient in one product over all steps."""
        a = self.activations
        summaries, states = a.summaries[..., : self.width], a.slots[:, self.prefix :, : self.width]
        own = dict(
            key=self.product(self.grad.keys[:, self.prefix :], states),
            summary_query=self.product(self.grad.queries, summaries[:, :-1]),
            score=self.grad.score.sum(dim=0),
            summary_gates=self.product(self.grad.gates, summaries[:, 1:]),
        )
        if self.fuse is None:
            return Weights(**own)
        source_query = None
        if self.weights.source_query is not None:
            source_query = self.product(self.grad.source_queries, self.fuse.followed(a))
        contexts = a.source_summaries[:, 1:, : self.width]
        return Weights(
            **own,
            source_query=source_query,
            source_score=self.grad.source_score.sum(dim=0),
            source_gate=self.product(self.fuse.grad_gate(self.grad), contexts),
        )

    def product(self, grad_outputs: Tensor, inputs: Tensor) -> Tensor:
        """The gradient (O, I) of a weight from those of its outputs (B, T, O) and its inputs."""
        if grad_outputs.stride(1) > grad_outputs.stride(0):  # flatten copies nothing in this order
            grad_outputs, inputs = grad_outputs.transpose(0, 1), inputs.transpose(0, 1)
        return grad_outputs.flatten(0, 1).T @ inputs.flatten(0, 1)

    def grad_tape(self) -> Tape:
        """Of the prefix: from attention and from the outputs, of which it is a part."""
        before = slice(self.prefix)
        grad_keys = self.grad.keys[:, before] * self.weights.score
        if self.grad_results.keys is not None:
            grad_keys += self.grad_results.keys[:, before]
        grad_hidden, grad_memory = (
            part.clone(memory_format=torch.contiguous_format)
            for part in self.grad.slots[:, before].split(self.width, dim=2)
        )
        summary = self.grad.queries[:, 0] @ self.weights.summary_query
        source_summary = torch.zeros_like(summary)
        if self.fuse is not None:
            source_summary = self.fuse.grad_source_summary(self.grad)
        return Tape(grad_hidden, grad_memory, grad_keys, summary, source_summary)

    def grad_source(self) -> Source | None:
        if self.fuse is None:
            return None
        attention, everything = self.activations.source_attention, slice(None)
        return Source(
            keys=self.grad.source_keys * self.fuse.score,
            slots=grad_slots(attention, self.grad.source_sums, everything, everything),
            query_inputs=self.grad.source_queries,
            gate_inputs=self.grad.fusion_gates,
        )


def grad_slots(attention: Tensor, grad_sums: Tensor, slots: slice, steps: slice) -> Tensor:
    """The gradient (B, n', V) of ``slots`` through the ``attention`` (B, T, n) of ``steps``.

    From the gradients of their sums (B, T, V).
    """
    weights = attention[:, steps, slots].transpose(1, 2).contiguous()
    return torch.bmm(weights, grad_sums[:, steps])
