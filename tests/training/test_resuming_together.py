"""Two processes that go on in the middle of an epoch end as two that were never interrupted."""

import pytest
import torch

from tests.checkpoints.files import same
from tests.fairseq_commands import run_together, two_processes
from tests.training.corpora import write_corpora
from tests.training.options import COMMON, STREAMS, TEXT

WHOLE, INTERRUPTED = 13, 6  # updates, of which an epoch has 5


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Of two processes with dropout, each of which carries its tapes: {name: the last one}."""
    folder = tmp_path_factory.mktemp("together")
    [data, _] = write_corpora(folder)["text"]
    options = data, *TEXT, *STREAMS, *COMMON, "--batch-size", 3, "--dropout", 0.3

    def training(name, updates):
        commands = two_processes(folder / name, *options, "--max-update", updates)
        return run_together(commands)[0]

    training("whole", WHOLE)
    training("resumed", INTERRUPTED)
    assert f"(epoch 2 @ {INTERRUPTED} updates)" in training("resumed", WHOLE)
    return {
        name: torch.load(folder / name / "checkpoint_last.pt", weights_only=False)
        for name in ("whole", "resumed")
    }


@pytest.mark.parametrize("part", ["model", "last_optimizer_state"])
def test_the_same_numbers_come_out(checkpoints, part):
    assert same(checkpoints["resumed"][part], checkpoints["whole"][part])


def test_each_process_has_tapes_of_its_own(checkpoints):
    whole, resumed = (
        checkpoints[name]["extra_state"]["carried_tapes"] for name in ("whole", "resumed")
    )
    assert same(resumed, whole)
    assert len(whole) == 2 and not same(whole[0], whole[1])
