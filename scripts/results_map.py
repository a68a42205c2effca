#!/usr/bin/env python3
"""Draw where a tape pays: every row of the tables in RESULTS.md that has an interval.

    python scripts/results_map.py examples/RESULTS.md --dest examples/map.png

A row says a task, the LSTM's score, a model, its score, the interval of the difference and the
verdict. Perplexities are compared as they are and shares by their errors, 100 less the share: a dot
at -10% has a tenth less of it than the LSTM.
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fairseq_lstmn.drawings import quieten
from fairseq_lstmn.errors import InputError, report_in_one_line

if TYPE_CHECKING:  # it must be quiet before
    from matplotlib.axes import Axes

COLORS = {"better": "#1a7f37", "worse": "#b35900", "inconclusive": "#6e7781"}
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
WIDEST = 1.2  # of the LSTM's, to either side: intervals beyond are cut off
NAMES = 1.05  # what the names of models need behind that
ROW = 0.24  # inches


class Named(NamedTuple):
    """A row without its numbers."""

    task: str
    model: str
    verdict: str


class Result(NamedTuple):
    """A model against the LSTM. ``change``, ``low`` and ``high`` are shares of the LSTM's."""

    task: str
    model: str
    verdict: str
    change: float
    low: float
    high: float

    @staticmethod
    def of(row: "Named", lstm: float, score: float, low: float, high: float, unit: str) -> "Result":
        """Of two scores in a unit, "%" or that of a perplexity, and the interval between them."""
        if unit != "%":
            return Result(*row, score / lstm - 1, low / lstm, high / lstm)
        errors = 100 - lstm
        return Result(*row, (lstm - score) / errors, -high / errors, -low / errors)


def numbers(cell: str) -> list[float]:
    return [float(text) for text in NUMBER.findall(cell.replace(",", "").replace(" to ", " "))]


def number(cell: str) -> float:
    """The first one in a cell. Raises InputError if there is none."""
    if not numbers(cell):
        raise InputError(f"RESULTS: {cell!r}: has no number")
    return numbers(cell)[0]


def results(text: str) -> Iterator[Result]:
    """Those of a page, in its order; rows without an interval are left out.

    Raises InputError for a verdict or a score that is none.
    """
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) >= 6 and len(numbers(cells[4])) == 2:
            lstm, model, score, interval, verdict = cells[1:6]
            row = Named(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", cells[0]), model, verdict)
            if verdict not in COLORS:
                raise InputError(f"{row.task}, {model}: {verdict}: is no verdict")
            unit = "" if "perplexity" in lstm else "%"
            low, high = numbers(interval)
            yield Result.of(row, number(lstm), number(score), low, high, unit)


def draw(rows: list[Result], path: Path) -> None:
    """Draw a dot with its interval for every row into the PNG file ``path``."""
    quieten()
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(9.5, 1.1 + ROW * len(rows)), layout="constrained")
    axes = figure.subplots()
    for at, row in enumerate(rows):
        draw_row(axes, at, row)
    named = [
        row.task if at == 0 or rows[at - 1].task != row.task else "" for at, row in enumerate(rows)
    ]
    axes.set_yticks(range(len(rows)), named)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(-WIDEST, WIDEST + NAMES)
    axes.set_xticks([-1, -0.5, 0, 0.5, 1])
    axes.axvline(0, zorder=0, color="#57606a", linewidth=0.8)
    axes.xaxis.set_major_formatter(PercentFormatter(1, symbol="%"))
    axes.set_xlabel("perplexity or errors, relative to the LSTM's (left of 0 is better)")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#d0d7de", linewidth=0.6)
    figure.savefig(path, dpi=130)


def draw_row(axes: "Axes", at: int, row: Result) -> None:
    """A row's dot, its interval, and the model's name behind it."""
    color, low, high = COLORS[row.verdict], max(row.low, -WIDEST), min(row.high, WIDEST)
    axes.plot([low, high], [at, at], color=color, linewidth=1.6, solid_capstyle="butt")
    axes.plot([row.change], [at], "o", color=color, markersize=5.5)
    axes.annotate(
        f"{row.model}: {row.verdict}",
        (high, at),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=color,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("page", type=Path, metavar="RESULTS.md")
    parser.add_argument("--dest", type=Path, required=True, metavar="PNG")
    args = parser.parse_args()
    report_in_one_line()
    rows = list(results(args.page.read_text()))
    if not rows:
        raise InputError(f"{args.page}: has no row with an interval")
    draw(rows, args.dest)


if __name__ == "__main__":
    main()
