"""A process at work on a stage of a run, and what it takes of the machine."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from fairseq_lstmn.compare.run.runs import Usage, Work
from fairseq_lstmn.compare.run.server import follow_parent

Share: TypeAlias = dict[str, str]  # of the machine, as variables of the environment

NOTED = 10  # seconds between two notes of what a process takes, for if all is killed


@dataclass
class Child(Work):
    """A child of this process, at work on a stage of a run in a share of the machine."""

    share: Share
    pid: int
    attempt: int = 1
    interrupted: bool = False
    status: int | None = None  # of its end

    def __post_init__(self) -> None:
        self._began = self._noted = time.monotonic()
        self._before = self.stage.usage()  # of earlier attempts
        self._peak_memory = 0  # bytes

    def has_ended(self) -> bool:
        """Look at the process; what it took is noted at its end, and now and then before."""
        self._peak_memory = max(self._peak_memory, peak_memory(self.pid))
        seconds = cpu_seconds(self.pid)
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if pid:
            self.status = os.waitstatus_to_exitcode(status)
            self._note(usage.ru_utime + usage.ru_stime)
        elif time.monotonic() - self._noted > NOTED:
            self._noted = time.monotonic()
            self._note(seconds)
        return bool(pid)

    def _note(self, cpu_seconds: float) -> None:
        """Write what the process took beside its log, added to what earlier attempts took."""
        before = self._before
        usage: Usage = {
            "status": None if self.interrupted else self.status,
            "seconds": before.get("seconds", 0) + time.monotonic() - self._began,
            "cpu_seconds": before.get("cpu_seconds", 0) + cpu_seconds,
            "peak_memory": max(before.get("peak_memory", 0), self._peak_memory),
        }
        self.stage.note(usage)


def spawn(argv: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
    """The number of a new process, a child as those of ``Server.start`` are."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # an interrupt from the terminal reaches this process only
            preexec_fn=follow_parent,
        )
    process.returncode = 0  # it is waited for here, not by subprocess
    return process.pid


def peak_memory(pid: int) -> int:
    """The most resident memory of a process since it began, in bytes.

    The kernel's account at its end would count the memory of this process too, of which it is a
    fork.
    """
    try:
        with open(f"/proc/{pid}/status") as status:
            sizes = [line.split()[1] for line in status if line.startswith("VmHWM:")]
    except OSError:
        return 0
    return int(sizes[0]) * 1024 if sizes else 0


def cpu_seconds(pid: int) -> float:
    """Of a process and its children that have ended; 0 where that cannot be seen."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    # after the name, which may have spaces: the 14th to 17th number
    ticks = map(int, text.rpartition(")")[2].split()[11:15])
    return sum(ticks) / os.sysconf("SC_CLK_TCK")
