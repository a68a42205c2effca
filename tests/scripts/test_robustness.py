"""scripts/robustness: a few kills, and what the comparison of two runs notices."""

import importlib
import json
import subprocess
import sys

import pytest
import torch

from tests.fairseq_commands import CHECKOUT

SCRIPTS = CHECKOUT / "scripts" / "robustness"


def test_killed_runs_end_as_if_nobody_had_killed_them():
    command = [sys.executable, SCRIPTS / "kill_and_resume.py", "--kills", "2"]
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines[lines.index(f"|{7 * '---|'}") + 1 :]]
    assert [row[0] for row in rows] == ["language_model", "translation", "sentence_pairs"]
    for _, _, kills, _, _, difference, failures in rows:
        assert (kills, difference, failures) == ("2", "0", "0")


@pytest.fixture
def compare(monkeypatch):
    """``left_behind.compare``, the modules of which are no others' afterwards."""
    monkeypatch.syspath_prepend(SCRIPTS)
    yield importlib.import_module("left_behind").compare
    for name in ("left_behind", "runs", "moments"):
        sys.modules.pop(name, None)


def folder_of_a_run(folder, weight=1.0, ids=((0, 1), (2,)), files=("checkpoint_last.pt",)):
    """A folder such as a run of one epoch leaves."""
    (folder / "checkpoints").mkdir(parents=True)
    state = {
        "model": {"weight": torch.tensor([weight])},
        "cfg": {"folder": str(folder)},
        "optimizer_history": [{"num_updates": len(ids)}],
        "extra_state": {"metrics": [], "previous_training_time": 1.0},
    }
    for name in files:
        torch.save(state, folder / "checkpoints" / name)
    torch.save({"torch": torch.get_rng_state()}, folder / "random.pt")
    updates = [{"number": k + 1, "epoch": 1, "ids": list(ids[k])} for k in range(len(ids))]
    (folder / "updates").write_text("".join(json.dumps(update) + "\n" for update in updates))
    return folder


@pytest.mark.parametrize(
    "change, difference, complaint",
    [
        (dict(), 0, None),
        (dict(weight=1 + 2**-20), 2**-20, "checkpoint_last.pt, model: numbers differ by 9.5"),
        (dict(ids=((0, 1), (1,))), 0, "epoch 1 left examples out or saw some twice"),
        (dict(ids=((0, 1),)), 1, "1 updates of 2"),
        (dict(files=()), 0, "checkpoint_last.pt is missing"),
        (dict(files=("checkpoint_last.pt", "more.pt")), 0, "more.pt is left over"),
    ],
    ids=["same", "weight", "example", "update", "missing", "left over"],
)
def test_what_two_runs_left_behind_is_compared(tmp_path, compare, change, difference, complaint):
    reference = folder_of_a_run(tmp_path / "reference")
    found, complaints = compare(folder_of_a_run(tmp_path / "run", **change), reference)
    assert found == difference
    assert any(complaint in line for line in complaints) if complaint else complaints == []
