"""SLURM itself, on this machine: examples/multi_node on two nodes, comparisons as its jobs."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from fairseq_lstmn.cli import main
from tests.fairseq_commands import CHECKOUT, PLUGIN, monolingual_data
from tests.slurm import started

SCRIPT = CHECKOUT / "examples" / "multi_node" / "train.sbatch"
TRAINING = (
    "--user-dir", PLUGIN, "--task", "language_modeling", "--arch", "lstmn_lm", "--cpu",
    "--decoder-embed-dim", 8, "--decoder-hidden-size", 10, "--decoder-out-embed-dim", 10,
    "--dropout", 0.1, "--sample-break-mode", "eos", "--batch-size", 4, "--optimizer", "adam",
    "--lr", 0.01, "--num-workers", 0, "--data-buffer-size", 0, "--no-epoch-checkpoints",
    "--log-format", "json", "--distributed-backend", "gloo",
)  # fmt: skip
NODE = "--gpus-per-node", 0, "--cpus-per-task", 1, "--no-requeue"


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
        training = data, *TRAINING, "--max-update", updates, "--save-dir", self.models
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


def test_nodes_without_gpus_train_and_a_lost_one_is_made_up_for_bit_by_bit(slurm, data, tmp_path):
    options = "--gpus-per-node", 0, "--cpus-per-task", 1
    whole = Training(slurm, tmp_path / "whole", data, *options, updates=20)
    whole.ended()
    assert "training on 2 devices" in whole.text()
    lost = Training(slurm, tmp_path / "lost", data, *options, updates=20)
    lost.logged("end of epoch 2 ")
    slurm.lose_node(slurm.nodes[1])
    slurm.wait_for(lambda: slurm.queue()[lost.job] == "PENDING", "the requeue")
    before = lost.text()
    slurm.start_node(slurm.nodes[1])
    lost.ended()
    after = lost.text()
    assert after.startswith(before) and "Loaded checkpoint" in after[len(before) :]
    expected, model = whole.last(), lost.last()
    assert model["optimizer_history"][-1]["num_updates"] == 20
    for name, values in expected["model"].items():
        assert torch.equal(model["model"][name], values), name


def test_two_jobs_share_their_first_node(slurm, data, tmp_path):
    options = "--nodes", 1, "--gpus-per-node", 1, "--cpus-per-task", 1, "--nodelist", slurm.nodes[0]
    first = Training(slurm, tmp_path / "first", data, *options, updates=8)
    second = Training(slurm, tmp_path / "second", data, *options, updates=24)
    first.ended()
    second.ended()
