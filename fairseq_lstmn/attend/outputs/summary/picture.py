"""The summary as a picture: weight by distance, and beside it weight on earlier occurrences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fairseq_lstmn.attend.outputs.figures.drawing import INK, MARK
from fairseq_lstmn.attend.outputs.figures.shades import colour
from fairseq_lstmn.attend.outputs.summary.entries import MapEntry, RepeatEntry

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def picture(maps: Sequence[MapEntry], repeats: Sequence[RepeatEntry]) -> Figure:
    """The Figure of a summary."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10 if repeats else 5.5, 4.2), facecolor="white", layout="constrained")
    axes = figure.subplots(1, 2 if repeats else 1, squeeze=False)[0]
    by_distance(axes[0], maps)
    if repeats:
        on_repeats(axes[1], repeats)
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure


def by_distance(axes: Axes, maps: Sequence[MapEntry]) -> None:
    """A line for every layer and direction within a text."""
    within = [found for found in maps if "mean weight by distance" in found]
    for k, found in enumerate(within):
        weights = found["mean weight by distance"]
        shade = 1 - 0.6 * k / max(1, len(within) - 1) if len(within) > 1 else 1
        axes.plot(
            range(1, len(weights) + 1),
            weights,
            color=colour(shade),
            linestyle=("-", "--", "-.", ":")[k % 4],
            marker=".",
            label=f"{found['map']}, {found['entropy in bits']:.1f} bits",
        )
    axes.set_xlabel("distance in tokens")
    axes.set_ylabel("mean weight")
    axes.set_ylim(bottom=0)
    if not within:
        axes.text(0.5, 0.5, "no attention within a text", ha="center", transform=axes.transAxes)
    else:
        axes.legend(frameon=False, fontsize=8, title="map, mean entropy", title_fontsize=8)


def on_repeats(axes: Axes, repeats: Sequence[RepeatEntry]) -> None:
    """Two bars for each layer and kind: the weight, and what distance alone would give."""
    # the file speaks of words, which the model's tokens may only be parts of
    names = [
        f"{found['attends'].replace('word', 'token')}\n({found['map']}, {found['steps']:,} steps)"
        for found in repeats
    ]
    places = range(len(repeats))
    weights = [found["weight"] for found in repeats]
    expected = [found["weight by distance alone"] for found in repeats]
    bars = ("weight", weights, colour(1), -0.2), ("weight by distance alone", expected, MARK, 0.2)
    for name, values, look, shift in bars:
        axes.barh([at + shift for at in places], values, 0.38, color=look, label=name)
    axes.set_yticks(list(places), names, fontsize=7, color=INK)
    axes.invert_yaxis()
    axes.set_xlabel("weight a step, on all such tokens")
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
