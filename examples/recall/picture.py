"""Draws accuracy against the number of pairs, from comparisons of the task recall.

Usage: python picture.py COMPARISON... --to recall.png    (folders that fairseq-lstmn compare wrote)

A line is the mean over seeds, a point one seed.
"""

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot, ticker

# Okabe & Ito: told apart with any colour vision
COLOURS = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"
MARKERS = "osD^vPX"
LABEL_GAP = 5  # percent, between names at the ends of lines

Accuracies = dict[str, float]  # {seed: accuracy}
Curves = Mapping[str, Mapping[int, Accuracies]]  # {model: {pairs: {seed: accuracy}}}


def read(folder: str) -> tuple[int, dict[str, Accuracies]]:
    """The most pairs of an example, and {model: {seed: accuracy}}, of a comparison's folder."""
    path = Path(folder, "results.json")
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        sys.exit(f"error: {path}: cannot be read ({error})")
    pairs = re.search(r"--pairs (?:\d+-)?(\d+)", found["commands"][0]["command"])
    if pairs is None or "accuracy" not in [metric["name"] for metric in found["metrics"]]:
        sys.exit(f"error: {path}: does not compare the accuracy in the task recall")
    scored = [model for model in found["models"] if model["scores"]]
    return int(pairs[1]), {m["name"]: m["scores"]["accuracy"]["seeds"] for m in scored}


def collect(folders: Sequence[str]) -> Curves:
    """{model: {pairs: {seed: accuracy}}}; what stands in several folders is taken together."""
    curves: defaultdict[str, defaultdict[int, Accuracies]] = defaultdict(lambda: defaultdict(dict))
    for folder in folders:
        pairs, models = read(folder)
        for name, seeds in models.items():
            curves[name][pairs].update(seeds)
    return curves


def spread(heights: Sequence[float]) -> list[float]:
    """The heights from 0 on, moved apart by LABEL_GAP at least where they are closer."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    blocks = [[heights[index]] for index in order]  # of neighbours that touch, by their wishes

    def bottom(block: Sequence[float]) -> float:
        return max(0, fmean(block) - (len(block) - 1) * LABEL_GAP / 2)

    at = 0
    while at + 1 < len(blocks):
        low, high = blocks[at : at + 2]
        if bottom(high) - bottom(low) < len(low) * LABEL_GAP:
            blocks[at : at + 2] = [low + high]
            at = max(0, at - 1)
        else:
            at += 1
    moved = [bottom(block) + n * LABEL_GAP for block in blocks for n in range(len(block))]
    return [height for _, height in sorted(zip(order, moved))]


def draw(curves: Curves, path: str) -> None:
    """Draw {model: {pairs: {seed: accuracy}}} into the file ``path``."""
    figure, axes = pyplot.subplots(figsize=(7.5, 4.5), layout="constrained")
    numbers = sorted({pairs for curve in curves.values() for pairs in curve})
    ends = []
    for (name, curve), colour, marker in zip(curves.items(), COLOURS, MARKERS):
        means = {pairs: fmean(seeds.values()) for pairs, seeds in sorted(curve.items())}
        axes.plot(list(means), list(means.values()), color=colour, linewidth=2)
        points = [(pairs, score) for pairs, seeds in curve.items() for score in seeds.values()]
        at, scores = zip(*points)
        axes.scatter(at, scores, s=18, color=colour, marker=marker, alpha=0.7, linewidths=0)
        ends.append((name, colour, list(means.items())[-1]))
    for (name, colour, end), height in zip(ends, spread([score for *_, (_, score) in ends])):
        axes.annotate(
            name,
            end,
            (numbers[-1] * 1.15, height),
            color=colour,
            verticalalignment="center",
            arrowprops={"arrowstyle": "-", "color": colour, "relpos": (0, 0.5), "shrinkB": 4},
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(numbers, map(str, numbers))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xlabel("pairs of a key and a value")
    axes.set_ylabel("right answers, %")
    axes.set_ylim(-2, 102)
    axes.grid(axis="y", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("comparisons", metavar="COMPARISON", nargs="+", help="its folder")
    parser.add_argument("--to", metavar="FILE", required=True, help="picture to be written")
    args = parser.parse_args(argv)
    curves = collect(args.comparisons)
    if len(curves) > len(COLOURS):
        sys.exit(f"error: {len(curves)} models: at most {len(COLOURS)} can be told apart")
    draw(curves, args.to)


if __name__ == "__main__":
    main()
