"""The documented torchrun command on one node without a GPU, and commands that work alone."""

import subprocess
import sys

import pytest

from tests.fairseq_commands import CHECKOUT, logged, monolingual_data, run

from .corpora import COMMON, SENTENCES, TEXT


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return monolingual_data(tmp_path_factory.mktemp("text"))


def torchrun(command, *arguments):
    line = (
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", 2,
        "-m", f"fairseq_cli.{command}", *arguments,
    )  # fmt: skip
    return subprocess.run(
        [*map(str, line)], cwd=CHECKOUT, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """What a training of two processes printed, and its checkpoint."""
    folder = tmp_path_factory.mktemp("model")
    gloo = "--distributed-backend", "gloo"
    options = *TEXT, *SENTENCES, *COMMON, *gloo, "--max-update", 4, "--save-dir", folder
    return torchrun("train", data, *options), folder / "checkpoint_last.pt"


def test_two_processes_train_on_one_node(trained):
    training, checkpoint = trained
    assert training.returncode == 0, training.stderr
    assert "training on 2 devices" in training.stdout
    assert checkpoint.exists()


def test_validation_of_two_processes_is_that_of_one(trained, data):
    *shared, plugin = "--task", "language_modeling", COMMON[:3]
    options = (
        data, *shared, *plugin, "--path", trained[1], "--batch-size", 3, "--log-format", "json",
        "--valid-subset", "valid,test",
    )  # fmt: skip
    together = torchrun("validate", *options, "--distributed-backend", "gloo")
    assert together.returncode == 0, together.stderr
    alone = run("validate", *options)
    for subset in ("valid", "test"):
        of_one, of_two = (logged(text, subset) for text in (alone.stdout, together.stdout))
        assert len(of_one) == len(of_two) == 1  # said once
        assert (
            of_two[0]["test_loss" if subset == "test" else "valid_loss"]
            == (of_one[0]["test_loss" if subset == "test" else "valid_loss"])
        )


@pytest.mark.parametrize("command", ["eval-lm", "generate", "interactive"])
def test_commands_that_work_alone_refuse_several_processes(data, command):
    started = dict(MASTER_ADDR="localhost", MASTER_PORT="1", WORLD_SIZE="2", RANK="0")
    options = data, *COMMON[:3], "--path", "none.pt", "--task", "language_modeling"
    ended = run(command, *options, env=started, check=False)
    assert ended.returncode != 0
    line = f"error: fairseq-{command} works in one process, and torchrun has started 2"
    assert ended.stdout.splitlines()[-1].startswith(line)
