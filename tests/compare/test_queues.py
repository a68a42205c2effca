"""Queues of jobs: what SLURM is asked for, by stand-ins for its commands, and what it says."""

import os
from types import SimpleNamespace

import pytest

from fairseq_lstmn.compare.run.queues import Slurm, minutes, work_of
from fairseq_lstmn.errors import InputError

SQUEUE = "#!/bin/sh\ncat {folder}/queue\n"
SBATCH = '#!/bin/sh\ncp "$1" {folder}/script\necho Submitted batch job 7\n'
FAILING = "#!/bin/sh\necho no controller >&2\nexit 1\n"
RUNS = [SimpleNamespace(name=name) for name in "abc"]


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Puts stand-ins for commands where they are found first."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def put(**programs):
        for name, text in programs.items():
            (tmp_path / name).write_text(text.format(folder=tmp_path))
            (tmp_path / name).chmod(0o755)

    put(srun="#!/bin/sh\n", squeue=SQUEUE, sbatch=SBATCH)
    (tmp_path / "queue").touch()
    return put


@pytest.fixture
def slurm(commands, tmp_path):
    def make(at_once=None, **options):
        return Slurm(tmp_path / "jobs", {"time": 5, **options}, at_once)

    return make


def asked(tmp_path):
    """The options in the script that sbatch got."""
    lines = (tmp_path / "script").read_text().splitlines()
    options = (line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH"))
    return dict(option.partition("=")[::2] for option in options)


def test_options_are_those_of_sbatch(slurm, tmp_path):
    options = {"time": "1-0", "partition": "gpu", "gpus-per-node": 1, "cpus_per_task": 2}
    options |= {"reservation": "ours", "exclusive": True, "spread-job": False}
    jobs = slurm(**options).submit(RUNS, True, [])
    assert [job.job_id for job in jobs] == ["7_0", "7_1", "7_2"]
    script = asked(tmp_path)
    expected = {"time": "1440", "partition": "gpu", "gpus-per-node": "1", "cpus-per-task": "2"}
    expected |= {"reservation": "ours", "exclusive": "", "requeue": "", "open-mode": "append"}
    assert script.items() >= expected.items()
    assert "spread-job" not in script and script["array"] == "0-2%3"


def test_lines_of_shell_come_first(slurm, tmp_path):
    slurm(setup="module load cuda").submit(RUNS, True, [])
    script = (tmp_path / "script").read_text()
    assert 0 < script.index("\nmodule load cuda\n") < script.index("\nsrun ")


def test_at_most_so_many_are_at_work(slurm, tmp_path):
    queue = slurm(at_once=2)
    earlier = queue.submit(RUNS, True, [])
    script = asked(tmp_path)
    assert script["array"] == "0-2%2" and "dependency" not in script
    queue.submit(RUNS[:2], True, earlier)
    assert asked(tmp_path)["dependency"] == "afterany:7_0:7_1:7_2"


@pytest.mark.parametrize("name", ["nodes", "output", "array", "open_mode"])
def test_what_jobs_need_is_not_for_plans(slurm, name):
    with pytest.raises(InputError, match=f"^slurm.{name}: 2: is set by compare$"):
        slurm(**{name: 2})


def test_jobs_have_a_limit(commands, tmp_path):
    with pytest.raises(InputError, match="^slurm.time: is missing"):
        Slurm(tmp_path / "jobs", {}, None)


@pytest.mark.parametrize(
    "time, expected",
    [
        *((90, 90), ("90", 90), ("1:30", 2), ("2:00:00", 120), ("0:0:1", 1)),
        *(("1-0", 1440), ("2-3:30", 3090), ("1-1:1:1", 1502)),
    ],
)
def test_a_time_is_read_as_sbatch_does(time, expected):
    assert minutes(time) == expected


@pytest.mark.parametrize("time", ["1h", "", 0, "0:00", "1-", "1:2:3:4", -5, True, 1.5])
def test_what_is_no_time_is_told(time):
    with pytest.raises(InputError, match=f"^slurm.time: {time}: must be"):
        minutes(time)


def test_what_sbatch_refuses_is_one_line(slurm, commands):
    commands(sbatch="#!/bin/sh\necho 'sbatch: error: invalid partition' >&2\nexit 1\n")
    with pytest.raises(InputError, match="^--submit slurm: sbatch: error: invalid partition$"):
        slurm(partition="none").submit(RUNS, True, [])


def test_without_slurm_there_is_no_queue(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="^--submit slurm: .*srun"):
        Slurm(tmp_path / "jobs", {"time": 5}, None)


def test_jobs_of_an_earlier_command_are_those_in_the_queue(slurm, tmp_path):
    slurm().submit(RUNS, False, [])
    (tmp_path / "queue").write_text("7_0\n7_2\n8_1\n")
    jobs = slurm().jobs()
    assert [job.job_id for job in jobs] == ["7_0", "7_2"]
    assert [work_of(job).runs for job in jobs] == [[RUNS[0]], [RUNS[2]]]
    assert not work_of(jobs[0]).score


def test_a_controller_that_does_not_answer_ends_no_job(slurm, commands):
    jobs = slurm().submit(RUNS, True, [])
    assert slurm().still_left(jobs) == []
    commands(squeue=FAILING)
    assert slurm().still_left(jobs) == jobs
    with pytest.raises(InputError, match="^--submit slurm: no controller$"):
        slurm().jobs()
