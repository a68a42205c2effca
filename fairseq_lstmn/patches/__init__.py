"""What of fairseq is patched, a file for each of its modules."""

from fairseq_lstmn.patches import distributed_utils, trainer

__all__ = ["distributed_utils", "trainer"]
