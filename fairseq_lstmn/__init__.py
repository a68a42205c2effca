"""The Long Short-Term Memory-Network (Cheng, Dong & Lapata, EMNLP 2016) as a fairseq plugin.

fairseq imports this package through ``--user-dir``, and so does whoever wants its models: what
fairseq needs on today's Python, torch and numpy is patched first, then everything is registered.
The command ``fairseq-lstmn`` waits with that until it needs it. Without fairseq (or with a broken
one) the recurrence in ``fairseq_lstmn.ops`` and ``fairseq-lstmn doctor`` still work.
"""

import sys
import warnings
from pathlib import Path

from fairseq_lstmn.errors import report_in_one_line

__version__ = "0.2.0"


def register() -> None:
    """Patch fairseq, and register models and tasks with it; may be called any number of times.

    Does nothing where fairseq is absent or broken: ``fairseq-lstmn doctor`` says why.
    """
    try:
        with warnings.catch_warnings():
            # fairseq compiles some functions in a way that torch >= 2.14 warns of, in one of two
            # ways (the other on Python 3.14); no user can change it
            for what in "deprecated", "not supported":
                warnings.filterwarnings("ignore", message=f"`torch.jit.script` is {what}")
            import fairseq  # noqa: F401
    except Exception:
        return
    from fairseq_lstmn import patches

    patches.apply()

    from fairseq_lstmn import models, tasks  # noqa: F401


report_in_one_line()
if [Path(name).stem for name in sys.argv[:1]] != ["fairseq-lstmn"]:  # it may be empty
    register()
