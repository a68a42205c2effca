"""Architectures registered with fairseq."""

from fairseq_lstmn.models import lstmn, lstmn_lm  # noqa: F401
