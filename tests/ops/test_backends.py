"""Which backend runs: a named one or none, and what ``auto`` says."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops import backends, lstmn, triton

from .cases import assert_close, build, run

PACKAGE_PARENT = Path(backends.__file__).parents[2]


@pytest.fixture
def recompute_unavailable(monkeypatch):
    broken = backends.BACKENDS["recompute"]._replace(obstacle=lambda device: "it is not built")
    monkeypatch.setitem(backends.BACKENDS, "recompute", broken)


def test_torch_alone_runs_these_two():
    assert {("reference", None), ("recompute", None)} <= set(backends.report())


def test_a_named_backend_that_cannot_run_raises_with_the_reason(recompute_unavailable):
    assert ("recompute", "it is not built") in backends.report()
    with pytest.raises(InputError, match="recompute.*it is not built"):
        lstmn(**build(), backend="recompute")


def test_auto_passes_over_a_backend_that_cannot_run(recompute_unavailable):
    able = [name for name, obstacle in backends.report() if obstacle is None]
    assert "recompute" not in able
    assert_close(run(build(), "auto"), run(build(), able[0]), 0)


def test_auto_takes_the_fastest_that_can_run(monkeypatch):
    """``report`` lists the fastest first, and the reference, slow on purpose, last."""
    names = [name for name, obstacle in backends.report() if obstacle is None]
    assert names[-1] == "reference"
    taken = []
    for name in names:
        backend = backends.BACKENDS[name]

        def layer(*args, name=name, backend=backend):
            taken.append(name)
            return backend.layer(*args)

        monkeypatch.setitem(backends.BACKENDS, name, backend._replace(layer=layer))
    lstmn(**build())
    assert taken == [names[0]]


def test_auto_looks_for_triton_once(monkeypatch):
    """As whoever steps through a sentence token by token calls it thousands of times."""
    triton.obstacle(torch.device("cuda"))
    monkeypatch.setattr(triton, "find_spec", lambda name: pytest.fail("it is looked for anew"))
    triton.obstacle(torch.device("cuda"))


def test_auto_logs_its_choice_once_and_needs_torch_only():
    program = """
import logging, sys
sys.modules["fairseq"] = None  # as where it is not installed
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(name)s: %(message)s")
import torch
from fairseq_lstmn.ops import Weights, lstmn
square = torch.ones(2, 2)
weights = Weights(square, square, torch.ones(2), torch.ones(8, 2))
for steps in (1, 2, 3):
    lstmn(torch.ones(1, steps, 2), torch.ones(1, steps, 8), weights)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=PACKAGE_PARENT, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    said = [line for line in ended.stdout.splitlines() if line.startswith("fairseq_lstmn")]
    assert len(said) == 1
    able = [name for name, obstacle in backends.report() if obstacle is None]
    assert "backend" in said[0] and able[0] in said[0]
