"""The learning curves: validation over the updates, the mean over the seeds with its span.

Where every run was validated only once there is no curve, but a mark and its span for every model.

Where the first validations are so much worse that the rest would be a flat line, they lie outside.

A model's curve is the mean of its finished runs (of all, if none has finished) as far as all of
them go, with a band from the least to the greatest; what single runs go on to is a thin line each.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fairseq_lstmn.compare.report import svg
from fairseq_lstmn.compare.report.figure import legend, legend_height, margin, placed
from fairseq_lstmn.compare.report.numbers import shortened
from fairseq_lstmn.compare.report.record import ModelEntry, Results
from fairseq_lstmn.compare.report.run_tables import known_points
from fairseq_lstmn.compare.report.series import Look, looks
from fairseq_lstmn.compare.types import Floats

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 400, 270  # pixels, without the legend
_STEP = 26  # pixels, from a model's mark to the next one's
_LONGEST = 24  # characters of a name beside an axis
_MARKS = 6  # along a curve
_CROWDED = 3  # times the range of the better three quarters of the values


def for_paper(results: Results) -> str:
    """The file curves.svg."""
    return svg.for_paper(drawing(results), alternative(results))


def for_page(results: Results) -> str:
    return svg.for_page(drawing(results), "curves", alternative(results))


def alternative(results: Results) -> str:
    """What the chart shows, in words."""
    names = ", ".join(model["name"] for model in results["models"])
    if validated_once(results):
        return f"{results['curve']['name']}, validated once, of {names}"
    return f"Learning curves: {results['curve']['name']} over the updates of {names}"


def validated_once(results: Results) -> bool:
    """Whether no run has more than one point, and some have one."""
    counts = {len(known_points(run)) for model in results["models"] for run in model["runs"]}
    return max(counts, default=0) == 1


def drawing(results: Results) -> str:
    return marks(results) if validated_once(results) else lines(results)


def marks(results: Results) -> str:
    """SVG text: a row a model, the first one on top."""
    looks_of = looks(results, svg.SERIES)
    values = {m["name"]: [curve[1, 0] for curve in curve_runs(m)] for m in results["models"]}
    labels = [shortened(name, _LONGEST) for name in values]

    def draw(figure: Figure) -> None:
        axes = placed(figure, left=margin(labels), right=24, top=12, bottom=44)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_xlabel(results["curve"]["name"])
        for at, (name, found) in enumerate(values.items()):
            if found:
                draw_mark(axes, at, found, looks_of[name])
        plain_numbers(axes.xaxis)

    return svg.drawn(draw, "curves", _WIDTH, 56 + _STEP * len(labels))


def draw_mark(axes: Axes, at: int, values: Sequence[float], look: Look) -> None:
    axes.plot([min(values), max(values)], [at, at], color=look.colour, linewidth=1.8)
    axes.plot(np.mean(values), at, color=look.colour, marker=look.marker, markersize=7)


def lines(results: Results) -> str:
    """SVG text of the curves."""
    looks_of = looks(results, svg.SERIES)
    averages = {m["name"]: averaged(curve_runs(m)) for m in results["models"]}
    drawn = {name: average for name, average in averages.items() if average}

    def draw(figure: Figure) -> None:
        axes = placed(figure, left=56, right=24, top=12, bottom=44 + legend_height(looks_of))
        axes.set_xlabel("update")
        axes.set_ylabel(results["curve"]["name"])
        for name, average in drawn.items():
            draw_average(axes, average, looks_of[name])
        plain_numbers(axes.xaxis, whole=True)
        plain_numbers(axes.yaxis)
        if drawn:
            axes.set_ylim(window(drawn.values(), results["curve"]["higher_is_better"]))
        legend(figure, looks_of)

    return svg.drawn(draw, "curves", _WIDTH, _HEIGHT + legend_height(looks_of))


def curve_runs(model: ModelEntry) -> list[Floats]:
    """The points (updates, values) of the runs that count."""
    finished = [run for run in model["runs"] if run["state"] == "finished"]
    curves = [np.array(known_points(run)).T for run in finished or model["runs"]]
    return [curve for curve in curves if curve.size]


@dataclass(frozen=True)
class Average:
    """What several runs have in common, and what some of them go on to.

    Attributes:
        updates: where any of the runs was validated while all of them ran (U).
        mean, low, high: of the runs there (U), between validations along straight lines.
        tails: the (updates, values) of single runs after the shortest one's end.
    """

    updates: Floats
    mean: Floats
    low: Floats
    high: Floats
    tails: list[Floats]


def averaged(curves: list[Floats]) -> Average | None:
    """The ``Average`` of curves, each (2, points); None if there is none."""
    if not curves:
        return None
    start, end = max(curve[0, 0] for curve in curves), min(curve[0, -1] for curve in curves)
    updates = np.unique(np.concatenate([curve[0] for curve in curves]))
    updates = updates[(updates >= start) & (updates <= end)]
    values = np.stack([np.interp(updates, *curve) for curve in curves])
    tails = [curve[:, curve[0] >= end] for curve in curves if curve[0, -1] > end]
    return Average(updates, values.mean(0), values.min(0), values.max(0), tails)


def draw_average(axes: Axes, average: Average, look: Look) -> None:
    axes.plot(
        average.updates,
        average.mean,
        color=look.colour,
        linestyle=look.dash,
        linewidth=1.8,
        marker=look.marker,
        markersize=5,
        markevery=max(1, len(average.updates) // _MARKS),
    )
    if (average.low < average.high).any():
        axes.fill_between(
            average.updates, average.low, average.high, color=look.colour, alpha=0.18, linewidth=0
        )
    for tail in average.tails:
        axes.plot(*tail, color=look.colour, linestyle=look.dash, linewidth=0.8, alpha=0.6)


def plain_numbers(axis: Axis, whole: bool = False) -> None:
    """With commas between the thousands; ``whole`` for integers only."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(5, integer=whole))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def window(averages: Collection[Average], higher_is_better: bool) -> tuple[float, float]:
    """The least and the greatest value to show."""
    parts = [part for average in averages for part in (average.low, average.high)]
    tails = [tail[1] for average in averages for tail in average.tails]
    values = np.concatenate([*parts, *tails])
    low, high = values.min(), values.max()
    worst = np.percentile(values, 25 if higher_is_better else 75)
    if high - low > _CROWDED * abs((high if higher_is_better else low) - worst) > 0:
        low, high = (worst, high) if higher_is_better else (low, worst)
    margin = 0.06 * (high - low) or 1
    return low - margin, high + margin
