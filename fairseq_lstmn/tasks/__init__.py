"""Tasks registered with fairseq."""

from fairseq_lstmn.tasks import (  # noqa: F401
    contiguous_language_modeling,
    recall,
    sentence_pair_prediction,
)
