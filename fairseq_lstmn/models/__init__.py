"""Architectures registered with fairseq."""

from fairseq_lstmn.models import classifiers, lstmn, lstmn_lm, nli  # noqa: F401
