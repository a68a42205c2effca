"""The summary as a picture: weight by distance, and beside it weight on earlier occurrences."""

from fairseq_lstmn.attention.outputs.figures.drawing import INK, MARK
from fairseq_lstmn.attention.outputs.figures.shades import colour


def picture(result):
    """The Figure of a summary's ``result``."""
    from matplotlib.figure import Figure

    repeats = result["repeated words"]
    figure = Figure(figsize=(10 if repeats else 5.5, 4.2), facecolor="white", layout="constrained")
    axes = figure.subplots(1, 2 if repeats else 1, squeeze=False)[0]
    by_distance(axes[0], result["maps"])
    if repeats:
        on_repeats(axes[1], repeats)
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure


def by_distance(axes, maps):
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


def on_repeats(axes, repeats):
    """Two bars for each layer and kind: the weight, and what distance alone would give."""
    names = [f"{found['attends']}\n({found['map']}, {found['steps']:,} steps)" for found in repeats]
    places = range(len(repeats))
    bars = ("weight", colour(1), -0.2), ("weight by distance alone", MARK, 0.2)
    for name, look, shift in bars:
        values = [found[name] for found in repeats]
        axes.barh([at + shift for at in places], values, 0.38, color=look, label=name)
    axes.set_yticks(list(places), names, fontsize=7, color=INK)
    axes.invert_yaxis()
    axes.set_xlabel("weight a step, on all such tokens")
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
