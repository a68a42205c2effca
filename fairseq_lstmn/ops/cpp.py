"""The recurrence on the CPU with compiled steps: `recompute` with the kernels of csrc/.

B batch, T steps, n slots, H hidden width, V = 2H or H.
"""

import torch
from torch import Tensor

from fairseq_lstmn.ops import cpp_library, recompute
from fairseq_lstmn.ops.reader import Reader
from fairseq_lstmn.ops.recompute_steps import Arithmetic
from fairseq_lstmn.ops.types import mapped

kernels = torch.ops.fairseq_lstmn


class CompiledReader(Reader):
    """``Reader`` with one pass over each slot: no (B, n, H) tensor is made."""

    def read(self, t, seen, sums):
        kernels.read(
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
        d_scores = kernels.read_backward(
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


def cell(gates, memory, fused, slot):
    """As ``cell.cell``."""
    kernels.cell(gates, memory, fused, slot)


def cell_backward(gates, memory, slot, d_slot, d_gates):
    """As ``cell.cell_backward``."""
    return kernels.cell_backward(gates, memory, slot, d_slot, d_gates)


COMPILED = Arithmetic(CompiledReader, cell, cell_backward)


def steps(inputs):
    """See ``reference.steps``."""
    # the kernels read rows of numbers that stand side by side, as a tape's slots do in their room
    side_by_side = mapped(Tensor.contiguous, inputs._replace(tape=None))
    return recompute.steps(side_by_side._replace(tape=inputs.tape), COMPILED)


def obstacle(device):
    """Why the kernels cannot run on ``device``; None if they can."""
    if device.type != "cpu":
        return "runs on the CPU only"
    if not cpp_library.library().exists():
        return "not built, recompute takes 1.5 times as long or more: fairseq-lstmn build"
    return cpp_library.load(cpp_library.library())
