"""SLURM itself, on this machine: examples/multi_node on two nodes, comparisons as its jobs."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from fairseq_lstmn.compare.run import submitter
from tests.fairseq_commands import CHECKOUT, PLUGIN, monolingual_data, run
from tests.flows.test_compare import LANGUAGE_MODELS, compare, results, written
from tests.slurm import started

SCRIPT = CHECKOUT / "examples" / "multi_node" / "train.sbatch"
TRAINING = (
    "--user-dir", PLUGIN, "--task", "language_modeling", "--arch", "lstmn_lm", "--cpu",
    "--decoder-embed-dim", 8, "--decoder-hidden-size", 10, "--decoder-out-embed-dim", 10,
    "--dropout", 0, "--sample-break-mode", "eos", "--batch-size", 4, "--optimizer", "adam",
    "--lr", 0.01, "--num-workers", 0, "--data-buffer-size", 0, "--no-epoch-checkpoints",
    "--log-format", "json",
)  # fmt: skip


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with started(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return monolingual_data(tmp_path_factory.mktemp("text"))


class Training:
    """train.sbatch as a job, with its log and its checkpoints in a folder."""

    def __init__(self, slurm, folder, data, *options, updates):
        folder.mkdir()
        self.slurm, self.log, self.models = slurm, folder / "log", folder / "models"
        training = (
            data,
            *TRAINING,
            "--distributed-backend",
            "gloo",
            "--max-update",
            updates,
            "--save-dir",
            self.models,
        )
        printed = slurm.run("sbatch", f"--output={self.log}", *options, SCRIPT, *training)
        self.job = printed.split()[-1]

    def text(self):
        return self.log.read_text() if self.log.exists() else ""

    def logged(self, text):
        """Wait until the log has a text."""
        self.slurm.wait_for(lambda: text in self.text(), f"{text} in {self.log}")

    def ended(self):
        self.slurm.wait_for(lambda: self.job not in self.slurm.queue(), f"the end of {self.log}")
        assert "done training" in self.text(), self.text()

    def last(self):
        return torch.load(self.models / "checkpoint_last.pt", weights_only=False)


def test_a_lost_node_is_made_up_for_bit_by_bit(slurm, data, tmp_path):
    options = "--gpus-per-node", 0, "--cpus-per-task", 1
    # so many that it is not at its end before the node is lost, on a busy machine too
    updates = 60
    lost = Training(slurm, tmp_path / "lost", data, *options, updates=updates)
    lost.logged("end of epoch 2 ")
    slurm.lose_node(slurm.nodes[1])
    slurm.wait_for(lambda: slurm.queue()[lost.job] == "PENDING", "the requeue")
    before = lost.text()
    slurm.start_node(slurm.nodes[1])
    lost.ended()
    after = lost.text()
    assert after.startswith(before) and "training on 2 devices" in before
    assert "Loaded checkpoint" in after[len(before) :]
    # what two processes read for an update one reads in two batches
    alone = tmp_path / "alone"
    run("train", data, *TRAINING, "--update-freq", 2, "--max-update", updates, "--save-dir", alone)
    expected = torch.load(alone / "checkpoint_last.pt", weights_only=False)
    model = lost.last()
    assert model["optimizer_history"][-1]["num_updates"] == updates
    for name, values in expected["model"].items():
        assert torch.equal(model["model"][name], values), name


def test_a_job_outlives_another_on_its_first_node(slurm, data, tmp_path):
    options = "--nodes", 1, "--gpus-per-node", 1, "--cpus-per-task", 1, "--nodelist", slurm.nodes[0]
    first = Training(slurm, tmp_path / "first", data, *options, updates=10**6)
    first.logged("end of epoch 1 ")
    second = Training(slurm, tmp_path / "second", data, *options, updates=200)
    second.logged("end of epoch 1 ")
    slurm.run("scancel", first.job)
    second.ended()
    assert first.job not in slurm.queue()


@pytest.fixture
def at_slurm(slurm, monkeypatch):
    """SLURM for commands of this process, which looks at the queue often."""
    for name in slurm.environment:
        monkeypatch.setenv(name, slurm.environment[name])
    monkeypatch.setattr(submitter, "LOOK", 0.5)
    monkeypatch.setattr(submitter, "LATE", 2)
    return slurm


def pause(log):
    """Stop the process that writes a log where it is; the number of its job and of its parent."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.readlink(process / "fd" / "1") == str(log):
                os.kill(int(process.name), signal.SIGSTOP)
                environment = (process / "environ").read_text().split("\0")
                values = dict(variable.partition("=")[::2] for variable in environment)
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
                return "{SLURM_ARRAY_JOB_ID}_{SLURM_ARRAY_TASK_ID}".format(**values), int(parent)
    raise AssertionError(f"nothing writes {log}:\n{log.read_text()}")


def test_jobs_come_to_what_processes_come_to(at_slurm, data, tmp_path, capsys):
    """Left alone, one of them cancelled, one preempted, then waited for."""
    plan = {**LANGUAGE_MODELS, "tune": {"lr": [0.003]}}
    plan["slurm"] = {"time": 10, "cpus-per-task": 1}
    plan, dest = written(tmp_path / "plan.yaml", data, plan), tmp_path / "jobs"
    options = plan, "train.max-epoch=15", "--dest", dest, "--submit", "slurm"
    assert compare(*options, "--detach") == 0
    printed = capsys.readouterr()
    assert "slurm: 2 jobs" in printed.err
    line = " ".join(map(str, ("fairseq-lstmn", "compare", *options, "--detach")))
    assert printed.out.splitlines()[-1] == line

    paused = {}  # by logs

    def two_are_paused():
        for log in dest.glob("runs/*/train.log"):
            if log not in paused and "begin training epoch 2" in log.read_text():
                paused[log] = pause(log)
        return len(paused) == 2

    at_slurm.wait_for(two_are_paused, "trainings")
    (cancelled, process), (preempted, _) = paused.values()
    os.kill(process, signal.SIGKILL)  # SLURM would let it go on for a moment
    at_slurm.run("scancel", cancelled)
    at_slurm.run("scancel", "--signal=USR2", preempted)
    at_slurm.wait_for(lambda: cancelled not in at_slurm.queue(), "the end of the cancelled job")
    assert compare(*options, "--jobs", 2) == 0
    printed = capsys.readouterr().err
    assert "of an earlier command" in printed and "slurm: a job (" in printed
    for log in paused:
        assert log.read_text().count("Loaded checkpoint") == 1, log.read_text()

    found = results(dest)
    for model in found["models"]:
        assert all(value is not None for value in model["cost"].values())
    processes = tmp_path / "processes"
    assert compare(plan, "train.max-epoch=15", "--dest", processes, "--jobs", 2) == 0
    assert results(dest, timeless=True) == results(processes, timeless=True)
