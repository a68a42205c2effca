"""Carries an experiment out in its folder: the trials first, then every run, then the report."""

import fcntl
import os
import shlex
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from fairseq_lstmn.compare import report
from fairseq_lstmn.compare.plan.plan import Plan
from fairseq_lstmn.compare.report import results
from fairseq_lstmn.compare.report.schema import Results
from fairseq_lstmn.compare.run.launcher import Launcher, shares
from fairseq_lstmn.compare.run.progress import Progress
from fairseq_lstmn.compare.run.runs import Run, Runs
from fairseq_lstmn.errors import InputError


def carry_out(runs: Runs, jobs: int | None = None) -> Results:
    """Run what is missing, ``jobs`` runs at a time, and write the report; the results.

    Raises InputError if another process does so in the same folder.
    """
    with only_one(runs.dest), ended_by_termination():
        launch(runs, runs.of_trials(), jobs, score=False)
        launch(runs, runs.of_all_seeds(runs.tuned()), jobs)
        return write_report(runs)


def launch(runs: Runs, chosen: Sequence[Run], jobs: int | None, score: bool = True) -> None:
    devices = gpus(runs.experiment.plan)
    environments = shares(
        jobs or max(1, len(devices)), devices, os.cpu_count() or 1, dict(os.environ)
    )
    progress = Progress(chosen, runs.experiment.valid_metric)
    Launcher(environments, progress.show).launch(chosen, score)


def gpus(plan: Plan) -> list[str]:
    """The GPUs of a run each, as CUDA_VISIBLE_DEVICES names them; none with ``cpu: true``."""
    if plan.train.get("cpu"):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    named = visible.split(",") if visible else list(map(str, range(torch.cuda.device_count())))
    each = plan.train.get("distributed-world-size", 1)
    whole = torch.cuda.device_count() // each * each
    return [",".join(named[first : first + each]) for first in range(0, whole, each)]


def write_report(runs: Runs) -> Results:
    """Write the report of what is there; the results.

    Raises InputError if there is no such folder.
    """
    if not runs.dest.is_dir():
        raise InputError(f"--dest {runs.dest}: no such folder")
    collected = results.collect(runs)
    report.write(collected, runs.dest)
    return collected


def commands(runs: Runs) -> list[str]:
    """Lines for a shell that do what is missing, in order."""
    tuned = runs.tuned()
    stages = [run.train for run in runs.of_trials() if not run.trained()]
    for run in runs.of_all_seeds(tuned):
        if not run.trained() and run.train not in stages:
            stages.append(run.train)
        if run.scored() is None:
            stages.append(run.score)
    folders = dict.fromkeys(str(stage.log.parent) for stage in stages)
    lines = [f"mkdir -p {shlex.join(folders)}"] if folders else []
    lines += [stage.line() for stage in stages]
    if None in tuned.values():
        lines.append("# then once more --dry-run, for the runs with the options that did best")
    return lines


@contextmanager
def only_one(dest: Path) -> Iterator[None]:
    """Hold the folder ``dest``, made if need be. Raises InputError if another process does."""
    if os.pathsep in str(dest):
        raise InputError(f"--dest {dest}: fairseq takes a path with {os.pathsep!r} for several")
    try:
        dest.mkdir(parents=True, exist_ok=True)
        lock = open(dest / "lock", "a")
    except OSError as error:
        raise InputError(f"--dest {dest}: cannot be written ({error.strerror})") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"--dest {dest}: another comparison is at work there") from None
        yield


@contextmanager
def ended_by_termination() -> Iterator[None]:
    """A SIGTERM ends this as an interrupt does, with the children."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
