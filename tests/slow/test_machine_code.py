"""Every width and target of Triton's kernels, compiled: some ten minutes of processor time."""

import pytest

from tests.ops.test_machine_code import assert_cheap, compiled
from tests.ops.test_machine_code import pytestmark as pytestmark

TARGETS = "sm_80", "sm_90", "sm_100", "gfx942"


@pytest.mark.parametrize("width", [150, 300, 512, 1024])
@pytest.mark.parametrize("target", TARGETS)
def test_in_float32(target, width, tmp_path):
    made = compiled(target, width, "float32", tmp_path)
    print(target, width, made)
    # two numbers of a slot of 150 lie on a multiple of 8 bytes, four do not
    assert_cheap(made, bits=64 if width % 4 else 128)


@pytest.mark.parametrize("target", TARGETS)
def test_in_float64(target, tmp_path):
    assert_cheap(compiled(target, 300, "float64", tmp_path))
