"""How far the runs of a comparison are: a line a run, redrawn in a terminal."""

import shutil
import sys
import time
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TextIO
from unicodedata import east_asian_width

from fairseq_lstmn.compare.run.runs import Run, Stage, Work

SECONDS = {True: 2, False: 60}  # between two looks, in a terminal and elsewhere


class Progress:
    """Shows runs at work.

    Args:
        runs: all that will be launched, finished ones among them.
        metric: name of the validation metric.
        out: a text stream, stderr if None; lines are drawn again and again if it is a terminal.
    """

    def __init__(self, runs: Sequence[Run], metric: str, out: TextIO | None = None) -> None:
        self._metric, self._out = metric, out or sys.stderr
        self._terminal = self._out.isatty()
        self._shares = {run.folder: self._share(run) for run in runs}
        self._before = sum(self._shares.values())
        self._began = self._looked = time.monotonic()
        self._at_work: dict[tuple[Path, str], Work] = {}
        self._drawn = 0

    def show(self, works: Sequence[Work]) -> None:
        """Draw what is at work, if it is time to or one has begun or ended."""
        now = time.monotonic()
        at_work = {(work.run.folder, work.stage.name): work for work in works}
        ended = [work for key, work in self._at_work.items() if key not in at_work]
        begun = [work for key, work in at_work.items() if key not in self._at_work]
        due = now - self._looked >= SECONDS[self._terminal]
        self._at_work = at_work
        if not (ended or begun or due):
            return
        self._looked = now if due else self._looked
        shown = works if self._terminal or due else begun
        lines = [self._line(work.run, work.stage) for work in shown]
        if works and (self._terminal or due):
            lines.append(self._left(now))
        self._draw(list(filter(None, map(self._end, ended))), lines)

    def _end(self, work: Work) -> str | None:
        """The line that stays of a stage that has ended; None if a later one will tell."""
        run, stage = work.run, work.stage
        if run.error():
            return f"{run.name}: failed, {run.error()}"
        if stage is run.train and (run.folder, run.score.name) in self._at_work:
            return None
        return f"{self._line(run, run.train)}, done"

    def _line(self, run: Run, stage: Stage) -> str:
        if stage is run.score:
            return f"{run.name}: scoring"
        training = run.training.read()
        self._shares[run.folder] = self._share(run)
        parts = [f"{run.name}: update {training.updates:,}"]
        if training.words_per_second:
            parts.append(f"{training.words_per_second:,.0f} words/s")
        if training.curve:
            latest = training.curve[max(training.curve)]
            parts.append(f"valid {self._metric} {latest.get(self._metric, '-')}")
        return ", ".join(parts)

    def _share(self, run: Run) -> float:
        """How much of a training is done, 0..1, by the limits that its options set."""
        training = run.training.read()
        limits = {"max-update": training.updates, "max-epoch": training.progress}
        shares = [
            done / float(run.options[name])
            for name, done in limits.items()
            if float(run.options.get(name, 0)) > 0
        ]
        return min(1.0, max(shares, default=0.0))

    def _left(self, now: float) -> str:
        """The line about all runs: trainings go on as fast as they have since the start."""
        done = sum(self._shares.values())
        gained = done - self._before
        total = len(self._shares)
        text = f"all: {done:.1f} of {total} runs"
        if gained > 0:
            seconds = (total - done) * (now - self._began) / gained
            text += f", about {duration(seconds)} left"
        return text

    def _draw(self, lasting: Sequence[str], passing: Sequence[str]) -> None:
        if not self._terminal:
            for line in [*lasting, *passing]:
                print(line, file=self._out)
            self._out.flush()
            return
        width = shutil.get_terminal_size().columns
        erased = f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""
        lines = [cut(line, width - 1) for line in [*lasting, *passing]]
        self._out.write(erased + "".join(f"{line}\n" for line in lines))
        self._out.flush()
        self._drawn = len(passing)


def cut(line: str, width: int) -> str:
    """As much of a line as fits, where letters may be two columns wide."""
    columns = accumulate(1 + (east_asian_width(letter) in "WF") for letter in line)
    return "".join(letter for letter, column in zip(line, columns) if column <= width)


def duration(seconds: float) -> str:
    """Seconds as people say them: 40 s, 12 min, 3 h 20 min."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
