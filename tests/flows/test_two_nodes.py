"""The SLURM script of examples/multi_node on two nodes of one machine, without SLURM.

Its ``scontrol`` and ``srun`` are stand-ins: one names the nodes, the other runs the command on
both.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import warnings
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch

from tests.fairseq_commands import CHECKOUT, PLUGIN, monolingual_data

SCRIPT = CHECKOUT / "examples" / "multi_node" / "train.sbatch"
TRAINING = (
    "--user-dir", PLUGIN, "--task", "language_modeling", "--arch", "lstmn_lm", "--bf16",
    "--decoder-embed-dim", 8, "--decoder-hidden-size", 10, "--decoder-out-embed-dim", 10,
    "--sample-break-mode", "eos", "--batch-size", 8, "--optimizer", "adam", "--lr", 0.01,
    "--num-workers", 0, "--data-buffer-size", 0, "--no-epoch-checkpoints", "--log-format", "json",
    "--cpu", "--distributed-backend", "gloo",
)  # fmt: skip
END = 60  # seconds in which a job must end that has lost a process
START = 300  # seconds; only there so that a job that never trains cannot hang the test
SRUN = """#!/usr/bin/env bash
shift  # --kill-on-bad-exit=1: here the nodes must end by themselves
{first} "$@" & first=$!
{second} "$@" & second=$!
wait $first; status=$?
wait $second; exit $((status | $?))
"""
# a node: a host name, a network and hosts of its own
HOSTS = "127.0.0.1 localhost\n10.0.0.1 node1\n10.0.0.2 node2\n"
SPACES = "--net", "--uts", "--mount"
SETTLE = """
echo {name} >/proc/sys/kernel/hostname
mount --bind {hosts} /etc/hosts
ip link set lo up
echo ready
exec cat
"""
CONNECT = "ip addr add {address}/24 dev eth0; ip link set eth0 up"


@contextmanager
def two_nodes(folder):
    """Yields [(host name, what a command on that node begins with)].

    The nodes are namespaces that need no privileges, joined by a virtual cable. Where the machine
    makes none, a warning says so, and both are this host.
    """
    hosts = folder / "hosts"
    hosts.write_text(HOSTS)
    with ExitStack() as held:
        try:
            nodes = connected(held, hosts)
        except (OSError, subprocess.CalledProcessError) as error:
            warnings.warn(
                f"two nodes share one network, this machine makes no others: {error}", stacklevel=2
            )
            nodes = [("localhost", []), ("localhost", [])]
        yield nodes


def connected(held, hosts):
    """The two namespaces, which last until ``held`` is closed."""
    user = "unshare", "--user", "--map-root-user"
    first = hold(held, [*user, *SPACES], "node1", hosts)
    inside = "nsenter", "--target", first, "--user", "--preserve-credentials"
    second = hold(held, [*inside, "unshare", *SPACES], "node2", hosts)
    nodes = [
        (name, ["nsenter", "--target", process, "--user", "--preserve-credentials", *SPACES])
        for name, process in (("node1", first), ("node2", second))
    ]
    cable = f"ip link add eth0 type veth peer name eth0 netns {second}; "
    ends = (cable + CONNECT.format(address="10.0.0.1")), CONNECT.format(address="10.0.0.2")
    for (_, on_node), commands in zip(nodes, ends):
        subprocess.run([*on_node, "sh", "-ec", commands], check=True)
    return nodes


def hold(held, unshare, name, hosts):
    """The process id of one that stays in namespaces of its own, as text."""
    command = [*unshare, "sh", "-ec", SETTLE.format(name=name, hosts=hosts)]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    holder = held.enter_context(subprocess.Popen(command, **pipes))
    held.callback(holder.kill)
    if holder.stdout.readline() != "ready\n":
        raise subprocess.CalledProcessError(holder.wait(), command)
    return str(holder.pid)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The environment of a batch script on the first of two nodes."""
    folder = tmp_path_factory.mktemp("cluster")
    with two_nodes(folder) as nodes:
        (first, on_first), (_, on_second) = nodes
        commands = {
            "scontrol": f"#!/bin/sh\necho {first}\n",
            "srun": SRUN.format(first=shlex.join(on_first), second=shlex.join(on_second)),
        }
        for name, text in commands.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        path = str(folder), str(Path(sys.executable).parent), os.environ["PATH"]
        yield {
            **os.environ,
            "PATH": os.pathsep.join(path),
            "PYTHONPATH": str(CHECKOUT),
            "PYTHONUNBUFFERED": "1",
            "SLURM_JOB_NODELIST": "node[1-2]",
            "SLURM_JOB_ID": "7",
            "SLURM_NNODES": "2",
            "SLURM_GPUS_ON_NODE": "1",
            "RENDEZVOUS_PORT": str(free_port()),
        }


def free_port():
    with socket.create_server(("localhost", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return monolingual_data(tmp_path_factory.mktemp("text"))


@contextmanager
def job(cluster, log, *arguments):
    """A batch job, which writes to ``log`` and is stopped in the end."""
    command = ["bash", SCRIPT, *map(str, arguments)]
    with log.open("w") as output:
        streams = dict(stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        running = subprocess.Popen(command, env=cluster, **streams)
    try:
        yield running
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGTERM)
            running.wait()


def updates(checkpoint):
    state = torch.load(checkpoint, weights_only=False)
    return state["optimizer_history"][-1]["num_updates"]


def wait_for(checkpoint, running, log):
    """Wait until a job has saved its first checkpoint."""
    end = time.monotonic() + START
    while not checkpoint.exists():
        if running.poll() is not None or time.monotonic() > end:
            raise AssertionError(log.read_text())
        time.sleep(0.1)


def process_of(rank, save_dir):
    """The process id of a rank of the job that saves to ``save_dir``."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (
                (process / name).read_bytes().split(b"\0") for name in ("cmdline", "environ")
            )
        except OSError:  # it has ended, or is another user's
            continue
        if os.fsencode(save_dir) in command and b"RANK=%d" % rank in environment:
            return int(process.name)
    raise AssertionError(f"no rank {rank} of {save_dir}")


def test_a_lost_process_ends_the_job_and_the_next_start_resumes(cluster, data, tmp_path):
    save_dir, log = tmp_path / "model", tmp_path / "log"
    checkpoint = save_dir / "checkpoint_last.pt"
    arguments = data, *TRAINING, "--save-dir", save_dir
    with job(cluster, log, *arguments) as running:
        wait_for(checkpoint, running, log)
        os.kill(process_of(1, save_dir), signal.SIGKILL)
        assert running.wait(timeout=END) != 0
    assert "training on 2 devices" in log.read_text()

    done = updates(checkpoint)
    with job(cluster, log, *arguments, "--max-update", done + 3) as running:
        assert running.wait(timeout=START) == 0, log.read_text()
    output = log.read_text()
    assert "training on 2 devices" in output
    assert re.search(rf"Loaded checkpoint {checkpoint} \(epoch \d+ @ {done} updates\)", output)
    assert updates(checkpoint) == done + 3
