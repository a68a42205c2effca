"""What importing the plugin prints: nothing of its own and nothing that its users cannot mend."""

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
FAIRSEQ = """
import warnings
warnings.warn("`torch.jit.script` is deprecated. Please switch.", FutureWarning)
warnings.warn("`torch.jit.script` is not supported in Python 3.14+.", FutureWarning)
warnings.warn("something else is deprecated", FutureWarning)
raise ImportError
"""


def stderr_of(code, *folders):
    """What a new process prints there that finds packages in ``folders`` first."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*folders, CHECKOUT]))}
    environment.pop("PYTHONWARNINGS", None)
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True).stderr


def test_nothing_is_printed():
    assert stderr_of("import fairseq_lstmn.models") == ""


def test_only_the_warning_of_fairseqs_own_functions_is_silenced(tmp_path):
    (tmp_path / "fairseq.py").write_text(FAIRSEQ)
    own = "import warnings; warnings.warn('`torch.jit.script` is deprecated', FutureWarning)"
    printed = stderr_of(f"import fairseq_lstmn; {own}", tmp_path)
    lines = [line for line in printed.splitlines() if "Warning: " in line]
    assert [line.partition("Warning: ")[2] for line in lines] == [
        "something else is deprecated",
        "`torch.jit.script` is deprecated",
    ]


def test_the_recurrence_needs_no_name_of_a_program():
    """As in an interpreter that another program holds, where fairseq cannot be imported."""
    assert stderr_of("import sys; sys.argv = []; import fairseq_lstmn.ops") == ""
