"""scripts/gpu.sh on a machine without a GPU: with fairseq, and where nobody can import it."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = "machine kernels layers graphs streams threads ddp time profile tests".split()
NO_FAIRSEQ = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("fairseq", "fairseq_cli"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""

# in the process of that part alone
BROKEN = """
import sys

if "--inside" in sys.orig_argv and "threads" in sys.orig_argv:
    from fairseq_lstmn.ops.passes import step_kernels

    def attend(*arguments):
        raise RuntimeError("an illegal address")

    step_kernels.attend = attend
"""


def gpu(folder, *arguments, **environment):
    """The command's exit status and its report."""
    report = folder / "gpu-report.md"
    result = subprocess.run(
        ["bash", ROOT / "scripts" / "gpu.sh", "--report", report, *arguments],
        env={**os.environ, "PYTHON": sys.executable, **environment},
        capture_output=True,
        text=True,
    )
    return result, report.read_text() if report.exists() else result.stderr


@pytest.fixture
def without_fairseq(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(NO_FAIRSEQ)
    return str(tmp_path)


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_all_but_trainings_without_fairseq(tmp_path, without_fairseq):
    result, report = gpu(tmp_path, "--cpu", *PARTS, "training", PYTHONPATH=without_fairseq)
    assert result.returncode == 0, report
    assert "\nNo faults.\n" in report and "fairseq can be imported: no" in report
    assert report.count("\n## ") == len(PARTS) + 1
    assert "Not run: fairseq cannot be imported." in report
    assert report.count("| right |") >= 15 and "us a step" in report and "Self CPU" in report


def test_trainings(tmp_path):
    result, report = gpu(tmp_path, "--cpu", "training")
    assert result.returncode == 0, report
    assert "| lstmn_lm | fp32 |" in report and "| lstmn_deep | fp32 |" in report


def test_a_fault_is_in_the_report_whole_and_stops_no_other_part(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BROKEN)
    result, report = gpu(tmp_path, "--cpu", "threads", "machine", PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert "\nFaults in: threads.\n" in report
    assert report.count("RuntimeError: an illegal address") == 4  # two threads, two turns
    assert "Traceback" in report and "\n## Machine and versions\n" in report


def test_without_a_device_a_part_says_so(tmp_path):
    result, report = gpu(tmp_path, "streams", CUDA_VISIBLE_DEVICES="")
    assert result.returncode == 1
    assert "torch finds no CUDA device here (--cpu does without)" in report


def test_unknown_parts_are_refused(tmp_path):
    result, message = gpu(tmp_path, "kernel")
    assert result.returncode == 2 and "unknown part 'kernel'" in message
