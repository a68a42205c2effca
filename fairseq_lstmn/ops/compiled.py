"""`recompute` with compiled kernels, `cpp` and `triton`, which read rows side by side."""

from torch import Tensor

from fairseq_lstmn.ops import recompute
from fairseq_lstmn.ops.types import mapped


def steps(inputs, kernels):
    """See ``reference.steps``; ``kernels`` are a set of those in ``step_kernels``."""
    return recompute.steps(for_kernels(inputs), kernels)


def for_kernels(inputs):
    """``Inputs`` with each row's numbers side by side, as a tape's are in their room."""
    return mapped(contiguous_rows, inputs._replace(tape=None))._replace(tape=inputs.tape)


def contiguous_rows(tensor: Tensor):
    """``tensor`` (B, T, H) where batch or steps stand first in memory, else a copy that does."""
    steps_first = tensor.dim() == 3 and tensor.transpose(0, 1).is_contiguous()
    return tensor if steps_first else tensor.contiguous()
