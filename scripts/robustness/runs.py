"""Training runs in processes of their own, forked so that fairseq is imported once."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypedDict

import numpy as np
import torch
from fairseq_cli.train import cli_main
from moments import Moments

PLUGIN = Path(__file__).resolve().parents[2] / "fairseq_lstmn"


class Kill(NamedTuple):
    """SIGKILL after ``at`` seconds (moment "clock") or at the moment of that number."""

    moment: str
    at: float


class Update(TypedDict):
    """An update that was begun: its number, epoch and the ids of its examples."""

    number: int
    epoch: int
    ids: list[int]


class Run(NamedTuple):
    """How a run went."""

    folder: Path
    status: int
    seconds: float

    @property
    def ended(self) -> bool:
        return self.status == 0

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def moments(self) -> dict[str, int]:
        """``{moment: how often}`` of a run that ended."""
        counted: dict[str, int] = json.loads((self.folder / "moments.json").read_text())
        return counted

    def updates(self) -> list[Update]:
        return read_updates(self.folder)


def read_updates(folder: Path) -> list[Update]:
    """Each update that was begun."""
    return [json.loads(line) for line in (folder / "updates").read_text().splitlines()]


def train(
    options: Sequence[str],
    folder: Path,
    kill: Kill | None = None,
    at_start: Callable[[], Callable[[], None]] = lambda: lambda: None,
) -> Run:
    """fairseq-train with ``options``, saving in ``folder``; returns a Run.

    ``at_start`` is called in the process of the run and returns what is called at its end.
    """
    folder.mkdir(exist_ok=True)

    def work() -> None:
        at_end = at_start()
        moments = Moments(folder / "updates", kill)
        save_dir = ["--save-dir", str(folder / "checkpoints")]
        sys.argv = ["fairseq-train", *options, "--user-dir", str(PLUGIN), *save_dir]
        cli_main()
        (folder / "moments.json").write_text(json.dumps(moments.counted))
        torch.save(random_state(), folder / "random.pt")
        at_end()

    began = time.monotonic()
    seconds = kill.at if kill is not None and kill.moment == "clock" else None
    status = forked(work, folder / "log", seconds)
    return Run(folder, status, time.monotonic() - began)


def forked(work: Callable[[], None], log: Path, seconds: float | None = None) -> int:
    """Call ``work`` in a process that is killed after ``seconds``; returns its exit status.

    What it prints is appended to the file ``log``.
    """
    child = os.fork()
    if child == 0:
        work_and_leave(work, log)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)  # it stays until it is waited for, ended or not
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def work_and_leave(work: Callable[[], None], log: Path) -> NoReturn:
    status = 1
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        work()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        os._exit(status)


def random_state() -> dict[str, Any]:
    """Of torch and numpy, as plain values; fairseq neither seeds nor uses Python's."""
    state = np.random.get_state()
    assert isinstance(state, tuple)
    kind, keys, *rest = state
    numpy = [kind, torch.from_numpy(keys.astype(np.int64)), *rest]
    return {"torch": torch.get_rng_state(), "numpy": numpy}
