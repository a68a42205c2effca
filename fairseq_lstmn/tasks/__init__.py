"""Tasks registered with fairseq."""

from fairseq_lstmn.tasks import contiguous_language_modeling  # noqa: F401
