"""The LSTMN recurrence as one function of tensors; needs torch only."""

from fairseq_lstmn.ops.growing import GrowingTape
from fairseq_lstmn.ops.lstmn import lstmn
from fairseq_lstmn.ops.triton.graphs import free_graphs
from fairseq_lstmn.ops.types import Attention, Source, Tape, Weights

__all__ = ["Attention", "GrowingTape", "Source", "Tape", "Weights", "free_graphs", "lstmn"]
