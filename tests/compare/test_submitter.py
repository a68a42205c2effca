"""The submitter: what it submits, what it waits for, and what it says of jobs that are lost."""

import sys
from types import SimpleNamespace

import pytest

from fairseq_lstmn.compare import run as room
from fairseq_lstmn.compare.run import execution, submitter
from fairseq_lstmn.compare.run.job import Job
from fairseq_lstmn.compare.run.runs import Stage
from fairseq_lstmn.compare.run.submitter import Submitter
from fairseq_lstmn.errors import InputError


class FakeRun:
    def __init__(self, folder):
        self.folder, self.name, self.lock = folder, folder.name, folder / "lock"
        self.train, self.score = (
            Stage(name, [], folder / f"{name}.log") for name in ("train", "score")
        )

    def trained(self):
        return "done" in self.train.text()

    def scored(self):
        return True if "done" in self.score.text() else None

    def error(self):
        status = self.train.usage().get("status")
        return f"train: {self.train.last_line()}" if status else None

    def do(self, *stages):
        self.folder.mkdir(exist_ok=True)
        for stage in stages:
            getattr(self, stage).log.write_text("done\n")


class FakeJob:
    def __init__(self, number, function, log=""):
        self.job_id, self.log = number, log
        self.submission = lambda: SimpleNamespace(function=function)

    def stderr(self):
        return self.log


class FakeQueue:
    """A queue in which ``looks`` says, look by look, what becomes of its jobs."""

    name = "fake"

    def __init__(self, *jobs, looks=(), log=""):
        self.queued, self.looks, self.log = list(jobs), list(looks), log
        self.submitted = []

    def jobs(self):
        return list(self.queued)

    def submit(self, runs, score, after):
        self.submitted.append(([run.name for run in runs], score, list(after)))
        return [
            FakeJob(str(n), Job([run], None, score), self.log)
            for n, run in enumerate(runs, start=1)
        ]

    def still_left(self, jobs):
        return self.looks.pop(0)(list(jobs))

    def interrupted(self, jobs):
        return f"{len(jobs)} go on"


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock by which time passes only where somebody sleeps."""
    stopped = SimpleNamespace(now=0.0)

    def sleep(seconds):
        stopped.now += seconds

    monkeypatch.setattr(submitter.time, "monotonic", lambda: stopped.now)
    monkeypatch.setattr(submitter.time, "sleep", sleep)


@pytest.fixture
def runs(tmp_path):
    return [FakeRun(tmp_path / name) for name in "abc"]


def launch(queue, runs, detached=False, **options):
    Submitter(queue, lambda works: None, detached).launch(runs, **options)


def finish(*runs):
    """A look at which these runs are done and no job is left."""

    def look(jobs):
        for run in runs:
            run.do("train", "score")
        return []

    return look


def test_no_job_for_what_is_finished(runs):
    runs[0].do("train", "score")
    runs[1].do("train")
    queue = FakeQueue(looks=[finish(*runs)])
    launch(queue, runs)
    assert queue.submitted == [(["b", "c"], True, [])]
    launch(queue, runs)
    assert len(queue.submitted) == 1


def test_jobs_of_an_earlier_command_are_waited_for(runs, capsys):
    earlier = FakeJob("7_0", Job(runs[:1], None, True))
    queue = FakeQueue(earlier, looks=[finish(*runs)])
    launch(queue, runs)
    assert queue.submitted == [(["b", "c"], True, [earlier])]
    assert "a job (7_0) of an earlier command\nfake: 2 jobs (1 to 2) submitted" in (
        capsys.readouterr().err
    )


def test_a_job_that_only_trains_is_not_one_that_scores(runs):
    queue = FakeQueue(FakeJob("7", Job(runs[:1], None, False)), looks=[finish(*runs)])
    launch(queue, runs[:1])
    assert queue.submitted[0][:2] == (["a"], True)


def test_detached_nothing_is_waited_for(runs):
    queue = FakeQueue()
    launch(queue, runs, detached=True)
    assert queue.submitted == [(["a", "b", "c"], True, [])]


def test_a_job_that_leaves_the_queue_for_a_moment_is_not_lost(runs):
    run = runs[0]
    queue = FakeQueue(looks=[lambda jobs: [], lambda jobs: jobs] * 20 + [finish(run)])
    launch(queue, [run])
    assert run.error() is None and queue.looks == []


LOG = """slurmstepd-n1: error: *** JOB 1 ON n1 CANCELLED AT 2026-11-30 DUE TO TIME LIMIT ***
srun: forcing job termination
"""


@pytest.mark.parametrize(
    "log, reason",
    [
        (LOG, "job 1: slurmstepd-n1: error: *** JOB 1 ON n1 CANCELLED AT 2026-11-30 DUE TO TIME"),
        ("Traceback:\nModuleNotFoundError: No module named 'x'\n", "job 1: ModuleNotFoundError"),
        ("", "job 1: wrote nothing"),
    ],
)
def test_a_job_that_is_killed_names_its_run(runs, log, reason):
    run = runs[0]
    run.folder.mkdir()
    run.train.note({"cpu_seconds": 5})
    queue = FakeQueue(looks=[lambda jobs: []] * 100, log=log)
    launch(queue, [run])
    assert run.error().startswith(f"train: {reason}")
    assert run.train.usage() == {"cpu_seconds": 5, "status": 1}
    assert len(queue.looks) > 80  # not for ever


def test_what_failed_is_tried_once_more(runs, capsys):
    run = runs[0]
    run.folder.mkdir()
    run.train.log.write_text("no more memory\n")
    run.train.note({"status": 1, "cpu_seconds": 5})
    launch(FakeQueue(), [run], detached=True)
    assert "once more, as it failed (train: no more memory): a\n" in capsys.readouterr().err
    assert run.error() is None and run.train.usage()["cpu_seconds"] == 5


def test_an_interrupt_says_what_becomes_of_the_jobs(runs, capsys):
    def interrupt(jobs):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(FakeQueue(looks=[interrupt]), runs)
    assert "fake: 3 go on\n" in capsys.readouterr().err


def test_without_submitit_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    for name in ("queues", "submitter", "job"):
        monkeypatch.delitem(sys.modules, f"{room.__name__}.{name}", raising=False)
        monkeypatch.delattr(room, name, raising=False)
    with pytest.raises(InputError, match="^--submit slurm: needs submitit: pip install submitit$"):
        execution.submitted(None, "slurm", None, False)
