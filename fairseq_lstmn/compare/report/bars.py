"""Bucket by bucket: how far every model is from the baseline, as bars that lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairseq_lstmn.compare.report import svg
from fairseq_lstmn.compare.report.figure import legend, legend_height, margin, placed
from fairseq_lstmn.compare.report.numbers import shortened, whole
from fairseq_lstmn.compare.report.record import BucketEntry, Results
from fairseq_lstmn.compare.report.series import Look, looks

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 400  # pixels
_BAR, _GAP, _LEAST = 9, 12, 36  # pixels: a bar, between buckets, a bucket's name in two lines
_LONGEST = 18  # characters of a name beside an axis


@dataclass(frozen=True)
class Bars:
    """What is drawn.

    Attributes:
        axis: what the numbers are.
        values: of every model that has a bar, a number for each bucket.
    """

    axis: str
    values: dict[str, list[float | None]]


def for_page(results: Results, bucket: BucketEntry, name: str) -> str:
    """The chart of one bucketing; ``name`` is its own on the page."""
    bars = what_to_draw(results, bucket)
    return svg.for_page(drawing(results, bucket, bars, name), name, alternative(bucket, bars))


def alternative(bucket: BucketEntry, bars: Bars) -> str:
    """What the chart shows, in words."""
    return f"{bucket['metric']} by {bucket['name']}, {bars.axis}, of {', '.join(bars.values)}"


def what_to_draw(results: Results, bucket: BucketEntry) -> Bars:
    """The differences from the baseline, or the values where there is nothing to compare.

    Perplexities of different buckets differ by orders of magnitude, and so do their differences:
    these are drawn in percent of the baseline's.
    """
    baseline, metric = results["baseline"], bucket["metric"]
    differences = {m: values for m, values in bucket["differences"].items() if known(values)}
    (higher,) = (m["higher_is_better"] for m in results["metrics"] if m["name"] == metric)
    side = "right" if higher else "left"
    minus = f"{metric} minus {shortened(baseline, _LONGEST)}'s"
    if not differences:
        return Bars(metric, {m: values for m, values in bucket["values"].items() if known(values)})
    if metric != "perplexity":
        return Bars(f"{minus} ({side} is better)", differences)
    against = bucket["values"][baseline]
    shares = {m: list(map(percent, values, against)) for m, values in differences.items()}
    return Bars(f"{minus}, in % ({side} is better)", shares)


def known(values: Sequence[float | None]) -> bool:
    return any(value is not None for value in values)


def percent(part: float | None, of: float | None) -> float | None:
    return None if part is None or not of else 100 * part / of


def drawing(results: Results, bucket: BucketEntry, bars: Bars, name: str) -> str:
    """SVG text: a group of bars for each bucket, the first one on top."""
    every_look = looks(results, svg.SERIES)
    looks_of = {model: every_look[model] for model in bars.values}
    step = max(_LEAST, _BAR * len(bars.values) + _GAP)
    labels = [shortened(label, _LONGEST) for label in bucket["labels"]]
    left = margin([*labels, "n = 1,000"])
    below = 44 + legend_height(looks_of)

    def draw(figure: Figure) -> None:
        axes = placed(figure, left=left, right=16, top=8, bottom=below)
        axes.grid(axis="y", visible=False)
        counted = [f"{label}\nn = {whole(n)}" for label, n in zip(labels, bucket["counts"])]
        axes.set_yticks(range(len(labels)), counted)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(bars.axis)
        axes.axvline(0, color=svg.INK, linewidth=1)
        thickness = min(0.5, (step - _GAP) / step / max(1, len(bars.values)))
        for at, (model, values) in enumerate(bars.values.items()):
            offset = (at - (len(bars.values) - 1) / 2) * thickness
            draw_bars(axes, values, offset, thickness, looks_of[model])
        legend(figure, looks_of)

    return svg.drawn(draw, name, _WIDTH, 8 + step * len(labels) + below)


def draw_bars(
    axes: Axes, values: Sequence[float | None], offset: float, thickness: float, look: Look
) -> None:
    """The bars of one model, each ending in its mark; nothing where there is no value."""
    places, lengths = [], []
    for at, value in enumerate(values):
        if value is not None:
            places.append(at + offset)
            lengths.append(value)
    axes.barh(places, lengths, height=0.6 * thickness, color=look.colour)
    axes.plot(lengths, places, color=look.colour, linestyle="", marker=look.marker, markersize=6)
