"""Carries an experiment out in its folder: the trials first, then every run, then the report."""

import os
import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from fairseq_lstmn.compare import report
from fairseq_lstmn.compare.plan.plan import Plan
from fairseq_lstmn.compare.report import results
from fairseq_lstmn.compare.report.schema import Results
from fairseq_lstmn.compare.run import lock
from fairseq_lstmn.compare.run.child import Share
from fairseq_lstmn.compare.run.launcher import Launcher, Show, shares
from fairseq_lstmn.compare.run.progress import Progress
from fairseq_lstmn.compare.run.runs import Run, Runs
from fairseq_lstmn.errors import InputError

if TYPE_CHECKING:  # not everybody has submitit
    from fairseq_lstmn.compare.run.submitter import Submitter


class Launches(Protocol):
    """What brings runs to their end: as processes a Launcher, as jobs a Submitter."""

    def launch(self, runs: Sequence[Run], score: bool = True) -> None: ...


def carry_out(runs: Runs, launcher: Callable[[Show], Launches]) -> Results:
    """Run what is missing and write the report; the results.

    Args:
        launcher: makes what runs it, from what shows how far that is.

    Raises InputError if another process does so in the same folder.
    """
    metric = runs.experiment.valid_metric
    with only_one(runs.dest), ended_by_termination():
        trials = runs.of_trials()
        launcher(Progress(trials, metric).show).launch(trials, score=False)
        chosen = runs.of_all_seeds(runs.tuned())
        launcher(Progress(chosen, metric).show).launch(chosen)
        return write_report(runs)


def processes(runs: Runs, jobs: int | None) -> Callable[[Show], Launcher]:
    """Makes what has runs done by processes of this machine, ``jobs`` at a time."""
    return lambda show: Launcher(all_shares(runs.experiment.plan, jobs), show)


def submitted(
    runs: Runs, name: str, jobs: int | None, detached: bool
) -> Callable[[Show], "Submitter"]:
    """Makes what has runs done by jobs of the queue ``name``, ``jobs`` at a time.

    Raises InputError without submitit; what it makes does so if there is no such queue.
    """
    try:
        from fairseq_lstmn.compare.run import queues, submitter
    except ModuleNotFoundError as error:
        if error.name != "submitit":
            raise
        raise InputError(f"--submit {name}: needs submitit: pip install submitit") from None
    folder, plan = runs.dest / "jobs", runs.experiment.plan

    def queue() -> queues.Queue:
        if name == queues.Slurm.name:
            return queues.Slurm(folder, plan.slurm, jobs)
        return queues.Local(folder, all_shares(plan, jobs))

    return lambda show: submitter.Submitter(queue(), show, detached)


def all_shares(plan: Plan, jobs: int | None) -> list[Share]:
    """Of this machine, for ``jobs`` runs side by side; by default one for each GPU, or one."""
    devices = gpus(plan)
    number = jobs or max(1, len(devices))
    return shares(number, devices, os.cpu_count() or 1, dict(os.environ))


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
        held = lock.take(dest / "lock")
    except OSError as error:
        raise InputError(f"--dest {dest}: cannot be written ({error.strerror})") from None
    if held is None:
        raise InputError(f"--dest {dest}: another comparison is at work there")
    with held:
        yield


@contextmanager
def ended_by_termination() -> Iterator[None]:
    """A SIGTERM ends this as an interrupt does, with the children."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
