"""What fairseq asks numpy for and numpy has no more."""

import types

import numpy as np

from fairseq_lstmn.patches.registry import setting


@setting
def restore_numpy_long() -> None:
    """``--sample-break-mode eos`` and ``--num-batch-buckets`` work without ``np.compat``.

    numpy >= 2 has no ``np.compat``, whose ``long`` (Python's ``int``) is what TokenBlockDataset
    and LanguagePairDataset ask for. LM generation and interactive need the former as well.
    """
    if not hasattr(np, "compat"):
        vars(np)["compat"] = types.SimpleNamespace(long=int)
