"""`recompute` with the steps of a set of compiled kernels: `cpp` and `triton`.

``kernels`` has ``read``, ``read_backward``, ``cell`` and ``cell_backward``.
"""

from functools import cache, partial

from torch import Tensor

from fairseq_lstmn.ops import recompute
from fairseq_lstmn.ops.reader import Reader
from fairseq_lstmn.ops.recompute_steps import Arithmetic
from fairseq_lstmn.ops.types import mapped


def steps(inputs, kernels):
    """See ``reference.steps``."""
    return recompute.steps(for_kernels(inputs), arithmetic(kernels))


@cache
def arithmetic(kernels):
    """One object for each set of kernels: ``graphs`` tell passes apart by it."""
    return Arithmetic(partial(KernelReader, kernels), kernels.cell, kernels.cell_backward)


def for_kernels(inputs):
    """``Inputs`` with each row's numbers side by side, as a tape's are in their room."""
    return mapped(contiguous_rows, inputs._replace(tape=None))._replace(tape=inputs.tape)


def contiguous_rows(tensor):
    """``tensor`` (B, T, H) where batch or steps stand first in memory, else a copy that does."""
    steps_first = tensor.dim() == 3 and tensor.transpose(0, 1).is_contiguous()
    return tensor if steps_first else tensor.contiguous()


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
