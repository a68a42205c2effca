"""Both passes of a layer by the compiled kernels of csrc/, one call each.

B batch, T steps, P prefix slots, H hidden width. Weights go in as the panels of product.h.
"""

import torch
from torch import Tensor

from fairseq_lstmn.ops.cache import Once
from fairseq_lstmn.ops.passes.backward import Backward
from fairseq_lstmn.ops.passes.inputs import Inputs, Results, memory_for_attention
from fairseq_lstmn.ops.passes.recompute import biases, blocked_in_source, blocked_in_tape
from fairseq_lstmn.ops.passes.saved import SavedActivations, SavedForBackward
from fairseq_lstmn.ops.types import Weights

LIBRARY = torch.ops.fairseq_lstmn


class Compiled:
    """``Kernels`` (see ``saved``): blocks of rows go through all steps alone, in threads."""

    def forward(self, inputs: Inputs) -> SavedActivations:
        """All steps, forwards."""
        with memory_for_attention(inputs):
            activations = SavedActivations.allocate(inputs)
        batch, steps, _ = inputs.query_inputs.shape
        prefix = inputs.tape.hidden.size(1)
        source, weights, cache = inputs.source, inputs.weights, inputs.cache
        # a tape in training outlives updates, which optimizers make by way of .data
        once = Once() if cache is None or cache.final else cache.packed
        LIBRARY.forward(
            *(inputs.query_inputs, inputs.gate_inputs, *activations),
            *once(packed_transposed, *weights),
            *((None, None) if source is None else source[:2]),
            *(
                blocked_in_source(source, batch),
                biases(inputs),
                blocked_in_tape(inputs.tape, steps),
                None if cache is None else cache.latest_authors(prefix, steps),
            ),
            *(inputs.rows or [], inputs.memory_span),
        )
        return activations

    def backward(self, saved: SavedForBackward, grad_results: Results) -> Inputs:
        """All steps, backwards."""
        return CompiledBackward(None, saved, grad_results).inputs()


class CompiledBackward(Backward):
    """The backward pass whose steps are one call."""

    def all_steps(self) -> None:
        """The gradients of everything but weights."""
        saved, grad_biases = self.saved, None
        if saved.distance_bias is not None:
            grad_biases = self.activations.keys.new_empty(self.batch, self.prefix + self.steps)
        LIBRARY.backward(
            *(*self.activations, *packed(*self.weights), saved.source_keys, saved.source_slots),
            *map(rows_contiguous, self.grad_results),
            *(*self.grad, grad_biases, self.rows, saved.memory_span),
        )
        if grad_biases is not None:
            self.grad_biases = grad_biases.sum(dim=0)

    @property
    def rows(self) -> list[int]:
        return list(self.saved.rows or [])


def packed(*weights: Tensor | None) -> list[Tensor | None]:
    """What the kernels take of ``Weights``: the matrices in panels."""
    parts = Weights(*weights)  # type: ignore[arg-type]
    matrices = parts.summary_query, parts.summary_gates, parts.key
    return [
        *map(panels, matrices),
        parts.score,
        *map(panels, (parts.source_query, parts.source_gate)),
        parts.source_score,
    ]


def packed_transposed(*weights: Tensor | None) -> list[Tensor | None]:
    """``packed`` with every matrix transposed, for products with its inputs."""
    return packed(*(part if part is None or part.dim() < 2 else part.T for part in weights))


def panels(matrix: Tensor | None) -> Tensor | None:
    """``matrix`` (K, N), or None, as products with rows of K numbers read it fastest."""
    return None if matrix is None else LIBRARY.pack(matrix)


def rows_contiguous(tensor: Tensor | None) -> Tensor | None:
    """``tensor`` or None; a copy where numbers of a row do not lie side by side."""
    return tensor if tensor is None or tensor.stride(-1) == 1 else tensor.contiguous()
