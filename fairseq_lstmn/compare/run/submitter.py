"""Brings runs to their end as jobs of a queue; the launcher does so as processes."""

import sys
import time
from collections.abc import Sequence

from fairseq_lstmn.compare.run import lock
from fairseq_lstmn.compare.run.launcher import Show, next_stage
from fairseq_lstmn.compare.run.queues import Queue, Submitted, last_line, work_of
from fairseq_lstmn.compare.run.runs import Run, Work

LOOK = 5  # seconds between two looks at the queue
LATE = 60  # seconds after which another machine's files are seen here at the latest


class Submitter:
    """Submits what is missing and, unless it is ``detached``, waits until that has ended.

    Jobs belong to the queue: those of an earlier command are waited for like one's own.

    Args:
        show: called with what is at work, now and then.
    """

    def __init__(self, queue: Queue, show: Show, detached: bool) -> None:
        self._queue, self._show, self._detached = queue, show, detached

    def launch(self, runs: Sequence[Run], score: bool = True) -> None:
        """Have what is missing of ``runs`` done, scored or only trained, by jobs.

        Raises InputError if the queue takes none. An interrupt is for the queue to answer.
        """
        self._score = score
        missing = {self._place(run): run for run in runs if next_stage(run, score)}
        queued = self._queue.jobs()
        jobs = {job: chosen for job in queued if (chosen := self._runs_of(job, missing))}
        if jobs:
            self._say(f"{listed(jobs)} of an earlier command")
        at_work = {self._place(run) for chosen in jobs.values() for run in chosen}
        new = [run for place, run in missing.items() if place not in at_work]
        if new:
            for run in new:
                self._forget_error(run)
            submitted = self._queue.submit(new, score, queued)
            self._say(f"{listed(submitted)} submitted")
            jobs.update({job: self._runs_of(job, missing) for job in submitted})
        if not self._detached:
            self._wait_for(jobs)

    def _runs_of(self, job: Submitted, runs: dict[str, Run]) -> list[Run]:
        """Which of ``runs``, by their places, a job brings as far as is asked."""
        does = work_of(job)
        places = map(self._place, does.runs) if does.score == self._score else ()
        return [runs[place] for place in places if place in runs]

    def _place(self, run: Run) -> str:
        """Where among all runs is what a job does last; of one training there may be two scores."""
        last = run.score.log.parent if self._score else run.folder
        return str(last.relative_to(run.folder.parent))

    def _forget_error(self, run: Run) -> None:
        if error := run.error():
            self._say(f"once more, as it failed ({error}): {run.name}")
        for stage in (run.train, run.score):
            if stage.usage():
                stage.note({"status": None})

    def _wait_for(self, jobs: dict[Submitted, list[Run]]) -> None:
        ended: dict[Submitted, float] = {}  # since when
        try:
            while jobs:
                self._show([work for runs in jobs.values() for work in self._at_work(runs)])
                time.sleep(LOOK)
                left = self._queue.still_left(jobs)
                for job in list(jobs):
                    if job in left:
                        ended.pop(job, None)
                    elif self._is_over(job, jobs[job], ended.setdefault(job, time.monotonic())):
                        del jobs[job]
            self._show([])
        except KeyboardInterrupt:
            self._say(self._queue.interrupted(list(jobs)))
            raise

    def _at_work(self, runs: Sequence[Run]) -> list[Work]:
        held = [(run, next_stage(run, self._score)) for run in runs if lock.is_held(run.lock)]
        return [Work(run, stage) for run, stage in held if stage is not None]

    def _is_over(self, job: Submitted, runs: Sequence[Run], since: float) -> bool:
        """Whether all has been seen of what became of a job that has left the queue.

        Runs that came to no end, as it was killed, get its last line for theirs.
        """
        unfinished = [(run, next_stage(run, self._score)) for run in runs]
        lost = [stage for run, stage in unfinished if stage and not run.error()]
        if lost and time.monotonic() - since < LATE:
            return False
        for stage in lost:
            stage.log.parent.mkdir(parents=True, exist_ok=True)
            with stage.log.open("a") as log:
                log.write(f"job {job.job_id}: {why_ended(job)}\n")
            stage.note({"status": 1})
        return True

    def _say(self, text: str) -> None:
        print(f"{self._queue.name}: {text}", file=sys.stderr)


def why_ended(job: Submitted) -> str:
    """The last line of a job's log, if there is one of SLURM's that of SLURM."""
    lines = (job.stderr() or "").splitlines()
    return last_line("\n".join([line for line in lines if line.startswith("slurmstepd")] or lines))


def listed(jobs: Sequence[Submitted] | dict[Submitted, list[Run]]) -> str:
    """How many jobs, and the numbers of the first and the last: 3 jobs (17_0 to 17_2)."""
    numbers = [job.job_id for job in jobs]
    if len(numbers) == 1:
        return f"a job ({numbers[0]})"
    return f"{len(numbers)} jobs ({numbers[0]} to {numbers[-1]})"
