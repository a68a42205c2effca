"""The charts of a report as SVG text: learning curves, and how buckets differ from the baseline.

A model's curve is the mean of its finished runs (of all, if none has finished) as far as all of
them go, with a band from the least to the greatest; what single runs go on to is a thin line each.
Where the first validations are so much worse that the rest would be a flat line, they lie outside.
Where every run was validated only once there is no curve, but a mark and its span for every model.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from fairseq_lstmn.compare.report.schema import BucketEntry, ModelEntry, Results
from fairseq_lstmn.compare.report.tables import known_points
from fairseq_lstmn.compare.report.words import shortened, whole
from fairseq_lstmn.compare.types import Floats
from fairseq_lstmn.drawings import NO_METADATA, settings

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Look: TypeAlias = dict[str, Any]  # how a model is drawn: keyword arguments of Axes.plot
ByModel: TypeAlias = dict[str, list[float | None]]  # a number for each bucket

# a contrast of 3 with white and apart for eyes without one of the three cones, which
# none of Matplotlib's lists has for eight
COLOURS = (
    *("#0b4591", "#982400", "#169855", "#702a53"),
    *("#0a0a0a", "#ab8c00", "#8179ff", "#eb63a6"),
)
LOOKS: list[Look] = [
    {"color": colour, "linestyle": dash, "marker": marker}
    for colour, dash, marker in zip(COLOURS, 2 * ("-", "--", "-.", ":"), "osD^vPX*")
]
_INK = "#1b1f24"
_SETTINGS = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.w_pad": 0.1,
    "font.size": 12,
    "grid.color": "#d0d7de",
    "legend.fontsize": 11,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "lines.linewidth": 1.8,
    **dict.fromkeys(
        ("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color"), _INK
    ),
}
_WIDTH, _CURVES = 400, 270  # points, the height without the legend
_AXIS, _ROW, _LEGEND_ROW = 56, 26, 16  # points: what is below the axes, a mark, a legend's line
_BAR, _GAP, _LEAST = 9, 12, 36  # points: a bar, between buckets, a bucket's name in two lines
_BESIDE, _NARROW, _WIDE = 18, 20, 44  # characters: beside an axis, in two columns, in one
_MARKS = 6  # along a curve
_CROWDED = 3  # times the range of the better three quarters of the values


class Drawing(NamedTuple):
    """A chart.

    Attributes:
        title: what it shows, in words.
        svg: the text of a file.
    """

    title: str
    svg: str

    @property
    def address(self) -> str:
        """All of it, as the source of an image."""
        return f"data:image/svg+xml;base64,{b64encode(self.svg.encode()).decode()}"


def looks(results: Results) -> dict[str, Look]:
    """How every model is drawn, by its name; the first eight have colours of their own."""
    return dict(zip((model["name"] for model in results["models"]), cycle(LOOKS)))


def drawing(draw: Callable[[Figure, Axes], None], title: str, height: float) -> Drawing:
    """What ``draw(figure, axes)`` draws in a figure of this height in points."""
    text = io.StringIO()
    with settings(title, **_SETTINGS):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(_WIDTH / 72, height / 72), layout="constrained")
        draw(figure, figure.add_subplot())
        figure.savefig(text, format="svg", metadata={**NO_METADATA, "Title": title})
    return Drawing(title, text.getvalue())


def columns(names: Collection[str]) -> int:
    """Of a legend: one where a name is long."""
    return 2 if all(len(name) <= _NARROW for name in names) else 1


def legend_height(names: Collection[str]) -> int:
    """In points."""
    return _LEGEND_ROW * -(-len(names) // columns(names)) + 8


def legend(figure: Figure, looks_of: dict[str, Look]) -> None:
    """Each model's line and mark, below the axes."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **look) for look in looks_of.values()]
    # Matplotlib leaves out what begins with an underscore
    labels = [f"\u200b{shortened(name, _WIDE)}" for name in looks_of]
    figure.legend(handles, labels, loc="outside lower center", ncols=columns(looks_of))


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """A row for each name, the first one on top."""
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)


def plain_numbers(axis: Axis, integer: bool = False) -> None:
    """With commas between the thousands."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(5, integer=integer))
    axis.set_major_formatter("{x:,.10g}")


def curves(results: Results) -> Drawing:
    """The learning curves, or a mark for every model."""
    names, value = ", ".join(model["name"] for model in results["models"]), results["curve"]["name"]
    if validated_once(results):
        return marks(results, f"{value}, validated once, of {names}")
    return lines(results, f"Learning curves: {value} over the updates of {names}")


def validated_once(results: Results) -> bool:
    """Whether no run has more than one point, and some have one."""
    counts = {len(known_points(run)) for model in results["models"] for run in model["runs"]}
    return max(counts, default=0) == 1


def marks(results: Results, title: str) -> Drawing:
    """A row a model."""
    values = {m["name"]: [curve[1, 0] for curve in curve_runs(m)] for m in results["models"]}

    def draw(_: Figure, axes: Axes) -> None:
        name_rows(axes, [shortened(name, _WIDE // 2) for name in values])
        axes.set_xlabel(results["curve"]["name"])
        for at, (look, own) in enumerate(zip(looks(results).values(), values.values())):
            if own:
                axes.plot([min(own), max(own)], [at, at], color=look["color"])
                axes.plot(np.mean(own), at, color=look["color"], marker=look["marker"])
        plain_numbers(axes.xaxis)

    return drawing(draw, title, _AXIS + _ROW * len(values))


def lines(results: Results, title: str) -> Drawing:
    looks_of = looks(results)
    averages = {m["name"]: averaged(curve_runs(m)) for m in results["models"]}
    drawn = {name: average for name, average in averages.items() if average}

    def draw(figure: Figure, axes: Axes) -> None:
        axes.set_xlabel("update")
        axes.set_ylabel(results["curve"]["name"])
        for name, average in drawn.items():
            draw_average(axes, average, looks_of[name])
        plain_numbers(axes.xaxis, integer=True)
        plain_numbers(axes.yaxis)
        if drawn:
            axes.set_ylim(window(drawn.values(), results["curve"]["higher_is_better"]))
        legend(figure, looks_of)

    return drawing(draw, title, _CURVES + legend_height(looks_of))


def curve_runs(model: ModelEntry) -> list[Floats]:
    """The points (updates, values) of the runs that count."""
    finished = [run for run in model["runs"] if run["state"] == "finished"]
    points = [np.array(known_points(run)).T for run in finished or model["runs"]]
    return [curve for curve in points if curve.size]


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


def averaged(runs: list[Floats]) -> Average | None:
    """The ``Average`` of curves, each (2, points); None if there is none."""
    if not runs:
        return None
    start, end = max(curve[0, 0] for curve in runs), min(curve[0, -1] for curve in runs)
    updates = np.unique(np.concatenate([curve[0] for curve in runs]))
    updates = updates[(updates >= start) & (updates <= end)]
    values = np.stack([np.interp(updates, *curve) for curve in runs])
    tails = [curve[:, curve[0] >= end] for curve in runs if curve[0, -1] > end]
    return Average(updates, values.mean(0), values.min(0), values.max(0), tails)


def draw_average(axes: Axes, average: Average, look: Look) -> None:
    updates, low, high = average.updates, average.low, average.high
    every = max(1, len(updates) // _MARKS)
    axes.plot(updates, average.mean, **look, markersize=5, markevery=every)
    if (low < high).any():
        axes.fill_between(updates, low, high, color=look["color"], alpha=0.18, linewidth=0)
    for tail in average.tails:
        axes.plot(*tail, **{**look, "marker": ""}, linewidth=0.8, alpha=0.6)


def window(averages: Iterable[Average], higher_is_better: bool) -> tuple[float, float]:
    """The least and the greatest value to show."""
    values = np.concatenate(
        [part for a in averages for part in (a.low, a.high, *(tail[1] for tail in a.tails))]
    )
    low, high = values.min(), values.max()
    worst = np.percentile(values, 25 if higher_is_better else 75)
    if high - low > _CROWDED * abs((high if higher_is_better else low) - worst) > 0:
        low, high = (worst, high) if higher_is_better else (low, worst)
    margin = 0.06 * (high - low) or 1
    return low - margin, high + margin


def bars(results: Results, bucket: BucketEntry) -> Drawing:
    """A group of bars for each bucket, each bar ending in its model's mark."""
    axis, by_model = bar_lengths(results, bucket)
    looks_of = {name: look for name, look in looks(results).items() if name in by_model}
    count, labels = max(1, len(looks_of)), bucket["labels"]
    step = max(_LEAST, _BAR * count + _GAP)
    thickness = min(0.5, (step - _GAP) / step / count)

    def draw(figure: Figure, axes: Axes) -> None:
        counted = zip(labels, bucket["counts"])
        name_rows(axes, [f"{shortened(label, _BESIDE)}\nn = {whole(n)}" for label, n in counted])
        axes.set_xlabel(axis)
        axes.axvline(0, color=_INK, linewidth=1)
        for at, (name, look) in enumerate(looks_of.items()):
            lengths = np.array(by_model[name], dtype=float)  # None is NaN, which is not drawn
            places = np.arange(len(lengths)) + (at - (count - 1) / 2) * thickness
            axes.barh(places, lengths, height=0.6 * thickness, color=look["color"])
            axes.plot(lengths, places, **{**look, "linestyle": ""})
        legend(figure, looks_of)

    title = f"{bucket['metric']} by {bucket['name']}, {axis}, of {', '.join(by_model)}"
    return drawing(draw, title, _AXIS + step * len(labels) + legend_height(looks_of))


def bar_lengths(results: Results, bucket: BucketEntry) -> tuple[str, ByModel]:
    """What an axis shows, and of every model that has a bar a number for each bucket.

    The differences from the baseline, or the values where there is nothing to compare.
    Perplexities of different buckets differ by orders of magnitude, and so do their differences:
    these are drawn in percent of the baseline's.
    """
    baseline, name = results["baseline"], bucket["metric"]
    differences = with_numbers(bucket["differences"])
    if not differences:
        return name, with_numbers(bucket["values"])
    (higher,) = (m["higher_is_better"] for m in results["metrics"] if m["name"] == name)
    axis, side = f"{name} minus {shortened(baseline, _BESIDE)}'s", "right" if higher else "left"
    if name != "perplexity":
        return f"{axis} ({side} is better)", differences
    bases = bucket["values"][baseline]
    shares = {model: list(map(percent, own, bases)) for model, own in differences.items()}
    return f"{axis}, in % ({side} is better)", shares


def with_numbers(by_model: ByModel) -> ByModel:
    """The models that have any number."""
    return {name: own for name, own in by_model.items() if any(n is not None for n in own)}


def percent(part: float | None, of: float | None) -> float | None:
    return None if part is None or not of else 100 * part / of
