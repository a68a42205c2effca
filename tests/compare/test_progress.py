"""Progress: a line a run in a terminal, drawn anew; lasting lines elsewhere; the time left."""

import io
import unicodedata
from types import SimpleNamespace

import pytest

from fairseq_lstmn.compare.run import progress
from fairseq_lstmn.compare.run.progress import Progress, duration
from fairseq_lstmn.compare.run.training_log import TrainingLog
from tests.compare.test_training_log import epoch, inner, valid


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still; ``clock.now`` sets it."""
    stopped = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: stopped.now)
    return stopped


@pytest.fixture
def make(tmp_path):
    """Makes a child at work on a run, with this log of its training."""

    def child(name="a, seed 1", log="", stage="train", status=None, error=None, **options):
        path = tmp_path / name
        path.write_text(log)
        train = SimpleNamespace(name="train", log=path)
        score = SimpleNamespace(name="score")
        run = SimpleNamespace(
            name=name,
            folder=path,
            training=TrainingLog(path),
            train=train,
            score=score,
            options={"max-epoch": 4, **options},
            error=lambda: error,
        )
        return SimpleNamespace(run=run, stage=getattr(run, stage), status=status)

    return child


LOG = inner(10, 0.5, wps=900) + valid(20, loss=5.5) + epoch(1, 20, wpb=10) + inner(30, 1, wps=1234)


def test_a_run_is_a_line_with_its_updates_speed_and_validation(clock, make):
    out, child = io.StringIO(), make(log=LOG)
    Progress([child.run], "loss", out).show([child])
    assert out.getvalue() == "a, seed 1: update 30, 1,234 words/s, valid loss 5.5\n"


def test_a_terminal_is_drawn_over_and_cut_to_its_width(clock, make, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    out, child = Terminal(), make(log=LOG)
    shown = Progress([child.run], "loss", out)
    shown.show([child])
    clock.now += 3
    shown.show([child])
    first, second = out.getvalue().split("\x1b[2F\x1b[J")  # both of its lines
    assert first == second == "a, seed 1: update 30, 1,234 w\nall: 0.2 of 1 runs\n"


def test_elsewhere_only_what_is_new_is_said_until_a_minute_has_passed(clock, make):
    out, child = io.StringIO(), make()
    shown = Progress([child.run], "loss", out)
    shown.show([child])
    before = out.getvalue()
    clock.now += 59
    shown.show([child])
    assert out.getvalue() == before == "a, seed 1: update 0\n"
    clock.now += 2
    shown.show([child])
    assert out.getvalue() == before + "a, seed 1: update 0\nall: 0.0 of 1 runs\n"


def test_the_time_left_is_by_the_share_of_all_that_was_done_since_the_start(clock, make):
    out, children = Terminal(), [make(name) for name in "ab"]
    shown = Progress([child.run for child in children], "loss", out)
    children[0].run.train.log.write_text(epoch(2, 40, wpb=10))
    clock.now += 60
    shown.show(children)
    # half a run took a minute, and one and a half are left
    assert out.getvalue().endswith("all: 0.5 of 2 runs, about 3 min left\n")


def test_updates_limit_a_run_too(clock, make):
    out, child = Terminal(), make(log=epoch(1, 45, wpb=10), **{"max-update": 50})
    Progress([child.run], "loss", out).show([child])
    assert out.getvalue().endswith("all: 0.9 of 1 runs\n")


def test_a_run_that_ends_leaves_a_line_when_it_is_scored_and_when_it_fails(clock, make):
    out = io.StringIO()
    children = [make("a", LOG), make("b", status=1, error="train: no more memory")]
    scoring = make("a", LOG, stage="score", status=0)
    shown = Progress([child.run for child in children], "loss", out)
    shown.show(children)
    shown.show([scoring])
    shown.show([])
    assert out.getvalue().splitlines()[2:] == [
        "b: failed, train: no more memory",
        "a: scoring",
        "a: update 30, 1,234 words/s, valid loss 5.5, done",
    ]


def test_durations_are_said_as_people_say_them():
    assert [duration(s) for s in (0, 89, 100, 7100, 8000)] == [
        "0 s",
        "89 s",
        "2 min",
        "118 min",
        "2 h 13 min",
    ]


def test_wide_letters_do_not_break_the_lines_of_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    out = Terminal()
    Progress([], "loss", out)._draw([], ["語" * 30])
    (line,) = out.getvalue().splitlines()
    assert sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in line) < 20
