"""A process that has imported fairseq; the commands of a comparison are forks of it.

To import torch, fairseq and this package takes longer than many a command itself. ``Server`` starts
one process that does, on Linux. It computes nothing and touches no GPU,
and the processes that it forks become children of the one that asks for them.
"""

import ctypes
import json
import logging
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import fairseq_lstmn

PACKAGE = str(Path(fairseq_lstmn.__file__).parent)
# not by -m, to which a folder of this package's name where it is started would be this package
START = (
    f"import os, sys; sys.path[0] = {str(Path(PACKAGE).parent)!r}\n"
    f"from {__name__} import main\n"
    "sys.path[0] = os.getcwd(); main()"
)
READ_LATE = {"CUDA_VISIBLE_DEVICES"}  # variables that mean nothing before a GPU is touched
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Command(NamedTuple):
    """What the server is asked for: to be ``python -m MODULE ARGUMENTS >> LOG 2>&1``."""

    module: str
    arguments: Sequence[str]
    share: Mapping[str, str]  # of the machine, as variables of the environment
    log: str
    parent: int  # the process that asks


class Server:
    """Starts processes as forks of one that is started for the first of them.

    Args:
        environment: of that one, and of all others but for their share of the machine.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, argv: Sequence[str], share: Mapping[str, str], log: Path) -> int:
        """The number of a new process: a child of this one, in a session of its own.

        Raises OSError where no fork can do as ``argv`` does. That is so without Linux, for programs
        that are not of this package, and if importing them started threads or touched a GPU.
        """
        changed = {name for name, value in share.items() if self._environment.get(name) != value}
        if sys.platform != "linux" or PACKAGE not in argv or not changed <= READ_LATE:
            raise OSError(f"no fork can be {argv}")
        if self._process is None:
            self._begin()
        _, _, module, *arguments = argv
        command = Command(module, arguments, share, str(log), os.getpid())
        self._channel.sendall(json.dumps(command).encode() + b"\n")
        number = self._channel.recv(64)
        if not number:
            raise OSError("the server has ended")
        return int(number)

    def _begin(self) -> None:
        adopt_orphans(True)
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", START],
                env=self._environment,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=follow_parent,
            )

    def close(self) -> None:
        """End the server; the processes that it has started stay."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._channel.close()
            adopt_orphans(False)


def adopt_orphans(yes: bool) -> None:
    """Whether a descendant whose parent has ended becomes a child of this process (on Linux)."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(yes))


def die_with_parent() -> None:
    """Even if its parent is killed, this process does not go on alone (on Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def follow_parent() -> None:
    """As ``die_with_parent``; and what SLURM tells all of a job's processes the parent answers."""
    die_with_parent()
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def main() -> None:
    import fairseq.trainer  # noqa: F401
    import torch._dynamo  # noqa: F401
    from fairseq.utils import import_user_module

    import_user_module(Namespace(user_dir=PACKAGE))
    logging.root.handlers.clear()  # set by some module of fairseq, where a command sets its own
    become(next_command())


def next_command() -> Command:
    """Fork a process for every line of stdin, which is a socket; returns in these alone."""
    while line := sys.stdin.readline():
        between = os.fork()
        if between == 0:
            _leave_to_grandparent()
            return Command(*json.loads(line))
        if os.waitpid(between, 0)[1]:
            break
    sys.exit()


def _leave_to_grandparent() -> None:
    """Return in a fork of this process, a fork itself, once this one has ended.

    It ends with 1 and without a fork if the server is not as good as a new process.
    """
    import torch

    # after the first fork, before which OpenBLAS ends its threads, to start them when it needs them
    threads = os.listdir(f"/proc/{os.getppid()}/task")
    if len(threads) > 1 or torch.cuda._is_in_bad_fork():
        os._exit(1)
    between = os.getpid()
    if os.fork():
        os._exit(0)
    while os.getppid() == between:
        time.sleep(0.001)


def become(command: Command) -> None:
    """Carry out a command in this process, as a new one would."""
    die_with_parent()
    if os.getppid() != command.parent:
        sys.exit(1)
    os.setsid()
    os.write(sys.stdin.fileno(), b"%d" % os.getpid())
    with open(os.devnull) as nothing, open(command.log, "ab") as log:
        for stream, file in enumerate((nothing, log, log)):
            os.dup2(file.fileno(), stream)
    os.environ.update(command.share)
    sys.argv = [command.module, *command.arguments]
    runpy.run_module(command.module, run_name="__main__", alter_sys=True)
