"""The launcher: stages in turn, runs side by side, and no child that outlives it."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from fairseq_lstmn.compare.plan import plan
from fairseq_lstmn.compare.plan.experiment import Experiment
from fairseq_lstmn.compare.run import child, lock, server
from fairseq_lstmn.compare.run.launcher import Launcher, shares
from fairseq_lstmn.compare.run.runs import Runs, Stage
from tests.fairseq_commands import CHECKOUT, PLUGIN

PATIENCE = 300  # seconds; only there so that what hangs cannot hang the tests
FORKED = (str(PLUGIN),)  # what a command of this package has among its arguments


@dataclass(frozen=True)
class PythonStage(Stage):
    """A stage of a line of Python, done when its log ends in "done"."""

    def argv(self):
        return [sys.executable, "-m", "tests.compare.program", *self.command]

    def done(self):
        return self.log.exists() and self.log.read_text().endswith("done\n")


@dataclass(frozen=True)
class FakeRun:
    train: PythonStage
    score: PythonStage

    @property
    def folder(self):
        return self.train.log.parent

    @property
    def lock(self):
        return self.folder / "lock"

    def trained(self):
        return self.train.done()

    def scored(self):
        return True if self.score.done() else None

    def forget_scores(self):
        self.score.log.unlink(missing_ok=True)


@pytest.fixture
def make(tmp_path):
    """Makes a run of two programs, which have the folder as their second argument."""

    def run(name, train="print('done')", score="print('done')", more=()):
        folder = tmp_path / name
        stages = (
            PythonStage(kind, [code, str(folder), *more], folder / f"{kind}.log")
            for kind, code in (("train", train), ("score", score))
        )
        return FakeRun(*stages)

    return run


def launch(runs, count=1, show=lambda children: None, share=None, **options):
    Launcher([share or {} for _ in range(count)], show).launch(runs, **options)


def test_stages_come_in_turn_and_finished_ones_not_again(make):
    run = make("a")
    launch([run])
    assert run.trained() and run.scored()
    before = run.train.log.read_text()
    launch([run])
    assert run.train.log.read_text() == before


def test_a_training_anew_forgets_what_was_scored_of_another(make):
    run = make("a", score="import sys; sys.exit(1)")
    run.score.log.parent.mkdir()
    run.score.log.write_text("done\n")
    launch([run])
    assert run.trained() and not run.scored()


def test_without_scores_runs_are_only_trained(make):
    run = make("a")
    launch([run], score=False)
    assert run.trained() and not run.score.log.exists()


def test_a_run_that_fails_does_not_hold_the_others(make):
    bad = make("bad", "import sys; sys.exit('no more memory')")
    good = make("good")
    launch([bad, good])
    assert not bad.trained() and not bad.score.log.exists()
    assert bad.train.usage()["status"] == 1 and bad.train.last_line() == "no more memory"
    assert good.scored()


def test_runs_go_side_by_side_but_no_more_than_there_are_shares(make):
    runs = [make(name, "import time; time.sleep(0.5); print('done')") for name in "abc"]
    most = []
    launch(runs, 2, lambda children: most.append(len(children)))
    assert max(most) == 2 and all(run.scored() for run in runs)


def test_an_interpreter_that_aborts_at_its_exit_has_done_its_work(make):
    run = make("a", "import os; print('done', flush=True); os.abort()")
    launch([run])
    assert run.scored() and run.train.log.read_text() == "done\n"


def test_an_interpreter_that_aborts_before_is_tried_once_more(make):
    code = "import os, sys; print('began', flush=True); os.abort()"
    run = make("a", code)
    launch([run])
    assert run.train.log.read_text().count("began") == 2 and not run.trained()


def test_usage_adds_up_over_attempts(make):
    code = "import sys, time; [None for _ in range(10**7)]; sys.exit(1)"
    run = make("a", code)
    launch([run])
    once = run.train.usage()
    launch([run])
    twice = run.train.usage()
    assert once["cpu_seconds"] > 0.05 and twice["cpu_seconds"] > 1.5 * once["cpu_seconds"]
    assert twice["seconds"] > once["seconds"]


def test_a_run_that_another_is_at_work_on_is_waited_for(make):
    run, free = make("a"), make("b")
    run.folder.mkdir()
    held, seen = lock.take(run.lock), []

    def show(children):
        seen.append([child.run for child in children])
        if free.scored() and len(seen) > 5 and not held.closed:
            assert not any(run in runs for runs in seen)
            held.close()

    launch([run, free], 2, show)
    assert held.closed and run.scored()
    assert not lock.is_held(run.lock)


def test_what_a_child_takes_is_noted_while_it_is_at_work(make, monkeypatch):
    monkeypatch.setattr(child, "NOTED", 0)
    run = make(
        "a", "import time; end = time.time() + 2\nwhile time.time() < end: pass\nprint('done')"
    )
    run.folder.mkdir()
    run.train.note({"status": 1, "cpu_seconds": 100, "peak_memory": 5, "seconds": 1000})
    seen = []
    launch([run], show=lambda children: seen.append(run.train.usage()), score=False)
    during = [usage for usage in seen if usage["status"] is None]
    assert 100 < during[-1]["cpu_seconds"] <= run.train.usage()["cpu_seconds"] < 105
    assert during[-1]["peak_memory"] > 1 << 20 and run.train.usage()["status"] == 0


def test_peak_memory_is_the_childs_own(make):
    ours = bytearray(300 << 20)  # of which a fork has a part at first
    run = make("a", "import time; b'x' * (100 << 20); time.sleep(0.6); print('done')")
    launch([run])
    assert 100 << 20 < run.train.usage()["peak_memory"] < len(ours)


ENDS = {
    "works": """
import os, torch
print(os.getcwd(), sys.argv[2], repr(sys.stdin.read()), os.environ['CUDA_VISIBLE_DEVICES'])
print(os.environ['LOGLEVEL'], torch.get_num_threads(), torch.__config__.parallel_info())
print(os.getsid(0) == os.getpid(), len(os.listdir('/proc/self/fd')), 'done')""",
    "leaves": "sys.exit('no more memory')",
    "raises": "{}['key']",
    "refuses": "from fairseq_lstmn.errors import InputError; raise InputError('--lr 0')",
    "aborts": "import os; os.abort()",
}


def test_a_fork_ends_as_a_new_process_does(make):
    """All but the lines of a traceback, which are of the server too."""
    share = {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "0"}
    ends = []
    for more in FORKED, ():
        runs = [make(name, code, more=more) for name, code in ENDS.items()]
        launch(runs, 2, share=share, score=False)
        logs = [run.train.log.read_text() for run in runs]
        ends.append(
            [logs[0], *((run.train.last_line(), run.train.usage()["status"]) for run in runs)]
        )
        for run in runs:
            run.train.log.unlink()
    assert ends[0] == ends[1]
    assert [status for _, status in ends[0][1:]] == [0, 1, 1, 1, -signal.SIGABRT]


IS_FORKED = "print('fairseq.trainer' in sys.modules); print('done')"


def test_what_is_read_before_a_fork_does_not_differ_between_forks(make):
    runs = [make(name, IS_FORKED, more=FORKED) for name in ("threads", "device")]
    shares = [
        {"OMP_NUM_THREADS": threads, "CUDA_VISIBLE_DEVICES": device}
        for threads, device in (("1", "0"), ("1", "1"), ("2", "0"))
    ]
    Launcher(shares, lambda children: None).launch(runs, score=False)
    assert [run.train.log.read_text() for run in runs] == ["False\ndone\n", "True\ndone\n"]


def test_a_server_with_threads_forks_none(make, tmp_path, monkeypatch):
    """They would be missing in a fork; the run is a process of its own."""
    code = "import threading, time; threading.Thread(target=time.sleep, args=[99], daemon=True)"
    (tmp_path / "sitecustomize.py").write_text(f"{code}.start()\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    run = make("a", IS_FORKED, more=FORKED)
    launch([run], score=False)
    assert run.train.log.read_text() == "False\ndone\n"


RECALL = {
    "train": {
        **{"task": "recall", "pairs": 3, "num-keys": 6, "train-examples": 99, "test-examples": 99},
        **{"criterion": "label_smoothed_cross_entropy", "report-accuracy": True, "cpu": True},
        **{"decoder-embed-dim": 64, "decoder-out-embed-dim": 64, "dropout": 0.3},
        **{"optimizer": "adam", "lr": 0.01, "max-update": 4, "batch-size": 32, "num-workers": 1},
        **{"best-checkpoint-metric": "accuracy", "maximize-best-checkpoint-metric": True},
    },
    "score": {"metric": "accuracy"},
    "models": {"lstmn": {"arch": "lstmn_lm"}},
    "baseline": "lstmn",
    "seeds": [1],
}


def test_a_fork_trains_and_scores_bit_for_bit_as_a_new_process_does(tmp_path, monkeypatch):
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(RECALL))
    results = []
    for name in "forked", "anew":
        runs = Runs(Experiment(plan.read(str(tmp_path / "plan.yaml"), [])), tmp_path / name)
        [run] = runs.of_all_seeds(runs.tuned())
        launch([run], share={"OMP_NUM_THREADS": "2"})
        [answers] = run.folder.glob("score-*/answers.npz")
        numbers = torch.load(run.best_checkpoint, weights_only=False)["model"]
        numbers.update(np.load(answers))
        del numbers["items_per_second"]
        results.append(numbers)
        monkeypatch.setattr(server.sys, "platform", "one without such forks")
    forked, anew = results
    assert forked.keys() == anew.keys()
    assert all(np.array_equal(numbers, anew[name]) for name, numbers in forked.items())


@pytest.mark.parametrize("number, more", [(signal.SIGINT, ()), (signal.SIGTERM, FORKED)])
def test_an_interrupt_ends_the_children_too(number, more, tmp_path):
    program = start_elsewhere(tmp_path, more)
    child = wait_for(tmp_path / "a" / "pid")
    program.send_signal(number)
    assert program.wait(PATIENCE) == 130
    assert not alive(child)


@pytest.mark.parametrize("more", [(), FORKED], ids=["anew", "forked"])
def test_a_kill_ends_the_children_too(more, tmp_path):
    program = start_elsewhere(tmp_path, more)
    child = wait_for(tmp_path / "a" / "pid")
    program.kill()
    program.wait()
    deadline = time.monotonic() + PATIENCE
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def start_elsewhere(folder, more):
    """A process of its own that launches a run which says its number and sleeps."""
    code = f"""
import pathlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells turn off for a job
from fairseq_lstmn.compare.run.execution import ended_by_termination
from tests.compare.test_launcher import FakeRun, PythonStage, launch
sleep = "import os, pathlib, sys, time; p = pathlib.Path(sys.argv[2]); " \\
    "(p / 'new').write_text(str(os.getpid())); (p / 'new').rename(p / 'pid'); time.sleep(600)"
folder = pathlib.Path({str(folder / "a")!r})
command = [sleep, str(folder), *{more}]
stages = [PythonStage(kind, command, folder / kind) for kind in ("train", "score")]
try:
    with ended_by_termination():
        launch([FakeRun(*stages)])
except KeyboardInterrupt:
    sys.exit(130)
"""
    return subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(CHECKOUT)}
    )


def wait_for(path):
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return int(path.read_text())


def alive(pid):
    """Whether a process runs; one that has ended and is not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_each_run_has_its_device_or_its_share_of_the_threads():
    assert shares(2, [], 8, {}) == [{"OMP_NUM_THREADS": "4"}] * 2
    assert shares(3, [], 2, {}) == [{"OMP_NUM_THREADS": "1"}] * 3
    assert shares(1, [], 8, {"OMP_NUM_THREADS": "2"}) == [{"OMP_NUM_THREADS": "2"}]
    devices = [share["CUDA_VISIBLE_DEVICES"] for share in shares(3, ["4", "6"], 8, {})]
    assert devices == ["4", "6", "4"]


def test_a_usage_that_is_not_there_is_empty(make):
    run = make("a")
    assert run.train.usage() == {}
    run.train.log.parent.mkdir()
    run.train.usage_path.write_text("{")
    assert run.train.usage() == {}
    run.train.usage_path.write_text(json.dumps({"status": 0}))
    assert run.train.usage() == {"status": 0}


def test_a_note_that_is_cut_off_leaves_the_one_before(make, monkeypatch):
    run = make("a")
    run.train.log.parent.mkdir()
    run.train.note({"cpu_seconds": 100.0})

    def killed(path, text, **kwargs):
        path.open("w").write(text[:5])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        run.train.note({"status": 0})
    assert run.train.usage() == {"cpu_seconds": 100.0}
