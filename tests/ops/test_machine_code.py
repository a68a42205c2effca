"""What Triton's kernels are on devices: compiled, not run. Wider layers are in tests/slow.

RECURRENCE.md reports these numbers.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

# not imported here, where others still want its interpreter
pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")

# registers a thread where the width is 300, in float32: measured, with a tenth to spare
REGISTERS = {
    "sm_90": {"_attend": 136, "_attend_backward": 204, "_cell": 44, "_cell_backward": 133},
    "gfx942": {"_attend": 84, "_attend_backward": 112, "_cell": 38, "_cell_backward": 87},
}


def compiled(target, width, dtype, folder):
    """What ``compile_triton`` says."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    result = subprocess.run(
        [sys.executable, "-m", "tests.ops.compile_triton", target, str(width), dtype],
        cwd=Path(__file__).parents[2],
        env=dict(environment, TRITON_CACHE_DIR=str(folder)),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def assert_cheap(made, bits=128):
    """Nothing much spills, slots come ``bits`` at a time, a step has four launches each way."""
    # backwards three more come every 16 steps
    assert (made["forward"], made["backward"]) == (4, 4)
    # one variant for all steps, but for the last one's cell, which has no next query; every other
    # step has another where H is no multiple of 4, and addresses are not all multiples of 16
    expected = {"_attend": 1, "_attend_backward": 1, "_cell": 2, "_cell_backward": 1}
    most = 1 if bits == 128 else 2
    assert made["variants"].keys() == made["kernels"].keys() == expected.keys()
    assert all(made["variants"][name] <= most * count for name, count in expected.items())
    # ptxas lets two numbers go once, for _attend at H 1024 on sm_80, with registers to spare
    assert max(kernel["spilled"] for kernel in made["kernels"].values()) <= 8
    narrow = {name: of["bits"] for name, of in made["kernels"].items() if of["bits"] < bits}
    assert narrow.keys() <= {"_cell"}


@pytest.mark.parametrize("target", REGISTERS)
def test_at_the_papers_width(target, tmp_path):
    made = compiled(target, 300, "float32", tmp_path)
    assert_cheap(made)
    for kernel, most in REGISTERS[target].items():
        assert made["kernels"][kernel]["registers"] <= most
