"""Runs commands side by side: each run's stages in turn, each run with its share of the machine."""

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeAlias

from fairseq_lstmn.compare.run import lock
from fairseq_lstmn.compare.run.child import Child, Share, spawn
from fairseq_lstmn.compare.run.runs import Run, Stage, Work
from fairseq_lstmn.compare.run.server import Server

POLL = 0.2  # seconds between two looks at the children
PATIENCE = 10  # seconds for a child to end when it is asked to
# fairseq's loader threads now and then abort the interpreter after the work is done
ABORTED = (-signal.SIGABRT, 128 + signal.SIGABRT)

Show: TypeAlias = Callable[[Sequence[Work]], None]


def shares(
    jobs: int, devices: Sequence[str], cores: int, environment: Mapping[str, str]
) -> list[Share]:
    """The environments of ``jobs`` runs side by side: a GPU each, or their share of the threads.

    Args:
        devices: the GPUs, as CUDA_VISIBLE_DEVICES names them; empty without any.
        cores: of the processor.
        environment: of this process; what it says of threads holds.
    """
    threads = environment.get("OMP_NUM_THREADS", str(max(1, cores // jobs)))
    parts = []
    for number in range(jobs):
        share = {"OMP_NUM_THREADS": threads}
        if devices:
            share["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]
        parts.append(share)
    return parts


def next_stage(run: Run, score: bool) -> Stage | None:
    """What of a run is to be done next, scored or only trained; None if all is."""
    if not run.trained():
        return run.train
    return run.score if score and run.scored() is None else None


class Launcher:
    """Brings runs to their end.

    Args:
        shares: environments, one for each run that may be at work at a time (see ``shares``).
        show: called with what is at work, a few times a second.
    """

    def __init__(self, shares: Iterable[Share], show: Show) -> None:
        self._free, self._show = list(shares), show
        self._children: list[Child] = []
        self._locks: dict[Path, IO[str]] = {}
        self._environment = {"PYTHONWARNINGS": "ignore", **os.environ, "LOGLEVEL": "INFO"}
        self._server = Server({**self._environment, **self._free[0]})

    def launch(self, runs: Sequence[Run], score: bool = True) -> None:
        """Run what is missing of ``runs``; a run that fails does not hold the others.

        One that another process is at work on, such as a job of a cluster, is waited for.

        Whatever ends this early, an interrupt for one, ends the children too.

        Args:
            score: whether they are scored when they are trained.
        """
        self._score = score
        waiting = deque(runs)
        try:
            while waiting or self._children:
                self._begin(waiting)
                for child in list(self._children):
                    self._look_at(child)
                self._show(self._children)
                time.sleep(POLL if waiting or self._children else 0)
        finally:
            self._stop()

    def _begin(self, waiting: deque[Run]) -> None:
        """Begin the first of the runs that wait, as far as shares and others leave them."""
        for _ in range(len(waiting)):
            if not self._free:
                return
            run = waiting.popleft()
            run.folder.mkdir(parents=True, exist_ok=True)
            held = lock.take(run.lock)
            if held is None:
                waiting.append(run)
            else:
                self._locks[run.folder] = held
                self._go_on(run, self._free.pop())

    def _go_on(self, run: Run, share: Share) -> None:
        """Start the next stage of ``run``, if there is one."""
        stage = next_stage(run, self._score)
        if stage is None:
            self._leave(run, share)
            return
        if stage is run.train:
            run.forget_scores()
        self._start(run, stage, share)

    def _leave(self, run: Run, share: Share) -> None:
        """Let others have a run, and its share of the machine."""
        self._locks.pop(run.folder).close()
        self._free.append(share)

    def _start(self, run: Run, stage: Stage, share: Share, attempt: int = 1) -> None:
        stage.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            pid = self._server.start(stage.argv(), share, stage.log)
        except OSError:
            pid = spawn(stage.argv(), {**self._environment, **share}, stage.log)
        self._children.append(Child(run, stage, share, pid, attempt))

    def _look_at(self, child: Child) -> None:
        if not child.has_ended():
            return
        self._children.remove(child)
        done = child.run.trained() if child.stage is child.run.train else child.run.scored()
        if done:
            self._go_on(child.run, child.share)
        elif child.status in ABORTED and child.attempt == 1:
            self._start(child.run, child.stage, child.share, attempt=2)
        else:
            self._leave(child.run, child.share)

    def _stop(self) -> None:
        # where this process ignores a SIGTERM, as in a job of SLURM, so do its children
        deaf = signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
        for child in self._children:
            child.interrupted = True
            os.kill(child.pid, signal.SIGKILL if deaf else signal.SIGTERM)
        killed_at = time.monotonic() + PATIENCE
        while self._children:
            self._children = [child for child in self._children if not child.has_ended()]
            if time.monotonic() > killed_at:
                for child in self._children:
                    os.kill(child.pid, signal.SIGKILL)
            time.sleep(POLL if self._children else 0)
        for held in self._locks.values():
            held.close()
        self._locks.clear()
        self._server.close()
