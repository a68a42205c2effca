"""Where jobs wait and run, by submitit: the queue of SLURM, and this machine."""

import re
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import submitit

from fairseq_lstmn.compare.run.child import Share
from fairseq_lstmn.compare.run.job import Job
from fairseq_lstmn.compare.run.runs import Run
from fairseq_lstmn.compare.types import Options
from fairseq_lstmn.errors import InputError

Submitted: TypeAlias = "submitit.Job[None]"
# what the jobs of a comparison need to be: one process each, its files where submitit finds them
OWN = (
    *("array", "array-parallelism", "chdir", "error", "input", "nodes", "ntasks", "open-mode"),
    *("ntasks-per-node", "output", "parsable", "requeue", "no-requeue", "signal", "wait", "wrap"),
    *("stderr-to-stdout", "use-srun", "additional-parameters"),
)
LISTS = "setup", "teardown", "srun-args"  # submitit's own
# sbatch: minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes, ...
TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<parts>\d+(?::\d+){0,2})\Z")
YEAR = 366 * 24 * 60  # minutes, in which submitit would end a job of this machine


class Queue(ABC):
    """A queue of jobs, whose files are in a folder.

    Attributes:
        name: as users know it.
    """

    name: str

    def __init__(self, folder: Path, job_class: type[Submitted]) -> None:
        self._folder, self._class = folder.absolute(), job_class

    def jobs(self) -> list[Submitted]:
        """Those of earlier commands that have not ended. Raises InputError if that is not known."""
        files = sorted(self._folder.glob("*_submitted.pkl"))
        numbers = [path.name.removesuffix("_submitted.pkl") for path in files]
        jobs = [self._class(folder=self._folder, job_id=number) for number in numbers]
        try:
            return self._left(jobs)
        except subprocess.CalledProcessError as error:
            raise InputError(f"--submit {self.name}: {last_line(error.stderr)}") from None

    def still_left(self, jobs: Iterable[Submitted]) -> list[Submitted]:
        """Those of ``jobs`` that wait or run; all of them as long as that is not known."""
        try:
            return self._left(jobs)
        except subprocess.CalledProcessError:  # the controller is slow to answer, or restarts
            return list(jobs)

    @abstractmethod
    def submit(
        self, runs: Sequence[Run], score: bool, after: Sequence[Submitted]
    ) -> list[Submitted]:
        """Jobs that carry ``runs`` out; ``after`` are those that wait or run already.

        Raises InputError if they are refused.
        """

    @abstractmethod
    def _left(self, jobs: Iterable[Submitted]) -> list[Submitted]:
        """Those of ``jobs`` that wait or run. Raises CalledProcessError if that is not known."""

    @abstractmethod
    def interrupted(self, jobs: Sequence[Submitted]) -> str:
        """What becomes of jobs when the command that waits for them is interrupted."""


class Slurm(Queue):
    """SLURM: a job for each run, together an array.

    Args:
        options: of sbatch, by their names without the dashes, and those of submitit.
        at_once: how many jobs may be at work at a time; None for as many as SLURM likes.

    Raises InputError if there is no SLURM, or for what is no option of a job.
    """

    name = "slurm"

    def __init__(self, folder: Path, options: Options, at_once: int | None) -> None:
        super().__init__(folder, submitit.SlurmJob)
        self._at_once = at_once
        try:
            self._executor = submitit.SlurmExecutor(self._folder)
        except RuntimeError as error:
            raise InputError(f"--submit slurm: {last_line(str(error))}") from None
        self._set(options)

    def _set(self, options: Options) -> None:
        values: dict[str, Any] = {"job-name": "fairseq-lstmn", **spelled(options)}
        # a job that nobody limits would have submitit's five minutes
        if "time" not in values:
            raise InputError(
                "slurm.time: is missing: the longest a job may take, such as 1-0 (day)"
            )
        values["time"] = minutes(values["time"])
        others: dict[str, Any] = {"requeue": True}
        for name, value in values.items():
            try:
                self._executor.update_parameters(**{name.replace("-", "_"): value})
            except ValueError:  # none of submitit's: sbatch will say what is none of its own either
                others[name] = value
        self._executor.update_parameters(additional_parameters=others)

    def submit(
        self, runs: Sequence[Run], score: bool, after: Sequence[Submitted]
    ) -> list[Submitted]:
        if self._at_once is not None:
            self._executor.update_parameters(array_parallelism=self._at_once)
            if after:
                numbers = ":".join(job.job_id for job in after)
                self._executor.update_parameters(dependency=f"afterany:{numbers}")
        try:
            with self._executor.batch():
                return [self._executor.submit(Job([run], None, score)) for run in runs]
        except (RuntimeError, OSError) as error:
            raise InputError(f"--submit slurm: {last_line(str(error))}") from None

    def _left(self, jobs: Iterable[Submitted]) -> list[Submitted]:
        queued = printed("squeue", "--me", "--noheader", "--array", "--format=%i").split()
        return [job for job in jobs if job.job_id in queued]

    def interrupted(self, jobs: Sequence[Submitted]) -> str:
        numbers = " ".join(job.job_id for job in jobs)
        return f"the jobs go on; this ends them: scancel {numbers}"


class Local(Queue):
    """This machine: one job for all runs, as many side by side as there are shares of it."""

    name = "local"

    def __init__(self, folder: Path, shares: list[Share]) -> None:
        super().__init__(folder, submitit.LocalJob)
        self._shares = shares
        self._executor = submitit.LocalExecutor(self._folder)
        self._executor.update_parameters(timeout_min=YEAR)

    def submit(
        self, runs: Sequence[Run], score: bool, after: Sequence[Submitted]
    ) -> list[Submitted]:
        return [self._executor.submit(Job(list(runs), self._shares, score))]

    def _left(self, jobs: Iterable[Submitted]) -> list[Submitted]:
        return [job for job in jobs if self._is_at_work(job)]

    def _is_at_work(self, job: Submitted) -> bool:
        """Whether its process is one of submitit's, with this folder among its arguments."""
        try:
            command = printed("ps", "-o", "args=", "-ww", "-p", job.job_id)
        except subprocess.CalledProcessError:  # there is none
            return False
        return "submitit" in command and str(self._folder) in command

    def interrupted(self, jobs: Sequence[Submitted]) -> str:
        for job in jobs:
            job.cancel(check=False)
        return "the job ends too"


def spelled(options: Options) -> Options:
    """The options with dashes in their names; flags that are false left out.

    Raises InputError for those that compare sets itself.
    """
    values = {}
    for written, value in options.items():
        name = written.replace("_", "-")
        if name in OWN:
            raise InputError(f"slurm.{written}: {value}: is set by compare")
        if value is not False:
            values[name] = [value] if name in LISTS and not isinstance(value, list) else value
    return values


def minutes(time: object) -> int:
    """A time as sbatch has it, in whole minutes, at least one. Raises InputError if it is none."""
    read = TIME.match(str(time))
    parts = [int(part) for part in read["parts"].split(":")] if read else []
    if read is None or not any((*parts, int(read["days"] or 0))):
        raise InputError(
            f"slurm.time: {time}: must be minutes, hours:minutes:seconds or days-hours"
        )
    if read["days"]:
        hours, whole, seconds = (*parts, 0, 0)[:3]
        hours += 24 * int(read["days"])
    else:
        hours, whole, seconds = ((0, *parts, 0) if len(parts) < 3 else (*parts, 0))[:3]
    return hours * 60 + whole + (seconds > 0)


def work_of(job: Submitted) -> Job:
    """What a job was submitted to do."""
    function = job.submission().function
    assert isinstance(function, Job)
    return function


def printed(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["wrote nothing"])[-1]
