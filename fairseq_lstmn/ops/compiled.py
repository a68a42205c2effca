"""`recompute` with the steps of a set of compiled kernels: `cpp` and `triton`.

``kernels`` has ``read``, ``read_backward``, ``cell`` and ``cell_backward``.
"""

from functools import cache, partial

from fairseq_lstmn.ops.reader import Reader
from fairseq_lstmn.ops.recompute_steps import Arithmetic


@cache
def arithmetic(kernels):
    """One object for each set of kernels: ``graphs`` tell passes apart by it."""
    return Arithmetic(partial(KernelReader, kernels), kernels.cell, kernels.cell_backward)


class KernelReader(Reader):
    """``Reader`` with one pass over each slot: no (B, n, H) tensor is made."""

    def __init__(self, kernels, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.kernels = kernels

    def read(self, t, seen, sums):
        self.kernels.read(
            self.keys,
            self.slots,
            self.queries[:, t],
            self.score,
            self.bias,
            self.blocked,
            self.attention[:, t],
            sums,
            seen.start,
            seen.stop,
        )

    def read_backward(self, t, seen, d_attention):
        d_scores = self.kernels.read_backward(
            self.keys,
            self.slots,
            self.queries[:, t],
            self.score,
            self.attention[:, t],
            self.d_sums[:, t],
            None if d_attention is None else d_attention[:, t].contiguous(),
            self.d_score[:, 0],
            self.d_queries[:, t],
            self.d_keys,
            seen.start,
            seen.stop,
        )
        if self.bias is not None:
            self.d_bias[len(self.bias) - d_scores.size(1) :] += d_scores.sum(dim=0)
