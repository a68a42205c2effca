"""The Long Short-Term Memory-Network (Cheng, Dong & Lapata, EMNLP 2016) as a fairseq plugin.

fairseq imports this package through ``--user-dir``: what fairseq needs on today's
Python, torch and numpy is mended first, then everything is registered. Without
fairseq (or with a broken one) the recurrence in ``fairseq_lstmn.ops`` and
``fairseq-lstmn doctor`` still work.
"""

import warnings

from fairseq_lstmn.errors import report_in_one_line

__version__ = "0.2.0"

report_in_one_line()

try:
    with warnings.catch_warnings():
        # fairseq compiles some functions in a way that torch >= 2.14 warns of; no user can mend it
        warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated")
        import fairseq  # noqa: F401
except Exception:  # absent or broken: `fairseq-lstmn doctor` says why
    pass
else:
    from fairseq_lstmn import compat

    compat.apply()

    from fairseq_lstmn import models, tasks  # noqa: F401
