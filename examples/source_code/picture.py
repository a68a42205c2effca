"""Perplexity and accuracy on identifiers seen before, against the distance, as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from identifier_scores import ByDistance, as_comparison
from kinds import SEEN

from fairseq_lstmn.compare.report.charts import Look, looks
from fairseq_lstmn.compare.report.schema import BucketEntry
from fairseq_lstmn.drawings import quieten

if TYPE_CHECKING:  # it must be quiet before
    from matplotlib.axes import Axes

GAP = 0.055  # between names at the ends of curves, of the height


def draw(results: ByDistance, path: Path) -> None:
    """Draw a chart for every measure, a curve for every model, into the PNG file ``path``."""
    quieten()
    from matplotlib.figure import Figure

    every_look = looks(as_comparison(results, results["scores"]["all words"]))
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    for axes, bucket in zip(figure.subplots(1, 2), results["buckets"]):
        distances = [at for at, label in enumerate(bucket["labels"]) if label in SEEN]
        name_axes(axes, bucket, distances)
        ends: dict[str, float] = {}
        for model, values in bucket["values"].items():
            look, shown = every_look[model], [values[at] for at in distances]
            axes.plot(shown, **look)
            if numbers := [value for value in shown if value is not None]:
                ends[model] = numbers[-1]
        name_curves(axes, ends, every_look)
    figure.savefig(path, dpi=150)


def name_axes(axes: "Axes", bucket: BucketEntry, distances: list[int]) -> None:
    from matplotlib.ticker import StrMethodFormatter

    perplexity = bucket["metric"] == "perplexity"
    axes.set_yscale("log" if perplexity else "linear")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:,g}"))
    axes.set_ylabel("perplexity (lower is better)" if perplexity else "accuracy, %")
    axes.set_xlabel(bucket["name"])
    ticks = [f"{bucket['labels'][at]}\nn = {bucket['counts'][at]:,}" for at in distances]
    axes.set_xticks(range(len(ticks)), ticks)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", which="both", color="#d0d7de", linewidth=0.6)


def name_curves(axes: "Axes", ends: Mapping[str, float], every_look: Mapping[str, Look]) -> None:
    """Write each model's name at its curve's last number, clear of the one below."""
    axes.autoscale_view()
    to_height = axes.transScale + axes.transLimits
    below = -GAP
    for model, end in sorted(ends.items(), key=lambda entry: entry[1]):
        below = max(to_height.transform((0, end))[1], below + GAP)
        axes.text(
            1.02,
            below,
            model,
            color=every_look[model]["color"],
            transform=axes.transAxes,
            verticalalignment="center",
        )
