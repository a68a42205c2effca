"""--summary: what a model attends on the whole, as summary.json and a figure."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fairseq_lstmn.attend.figures import INK, MARK, save, shades
from fairseq_lstmn.attend.reading import ACROSS, BACKWARD, FloatArray, Map, Reading
from fairseq_lstmn.attend.record import Output

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats: TypeAlias = NDArray[np.float64]
Entry: TypeAlias = dict[str, Any]  # of one map over all lines, as JSON has it

FARTHEST = 50  # all farther tokens are counted together


class Summary(Output):
    """Counts the informative maps of all readings.

    ``formats`` are of json, png and svg, ``about`` says whose they are.
    """

    def __init__(self, folder: Path, about: Mapping[str, str], formats: set[str]) -> None:
        self.folder, self.about, self.formats = folder, about, formats
        self.read = self.failed = 0
        self.maps: dict[str, Spread] = {}
        self.repeats: dict[str, Repeats] = {}

    def add(self, reading: Reading) -> None:
        self.read += 1
        self.failed += reading.error is not None
        for attention in reading.informative_maps:
            kind = Spread if attention.direction == ACROSS else Distances
            spread = self.maps.setdefault(attention.title, kind())
            spread.add(attention)
            if isinstance(spread, Distances) and "text" in reading.surprisals:  # a language model
                repeats = self.repeats.setdefault(attention.title, Repeats(spread))
                repeats.add(attention, reading.texts["text"])

    def result(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            **self.about,
            "lines": self.read - self.failed,
            "lines that could not be read": self.failed,
            "maps": [{"map": title, **spread.result()} for title, spread in self.maps.items()],
            "repeated words": [
                {"map": title, **entry}
                for title, repeats in self.repeats.items()
                for entry in repeats.result()
            ],
        }

    def close(self) -> None:
        result = self.result()
        if "json" in self.formats:
            text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
            (self.folder / "summary.json").write_text(text, encoding="utf-8")
        if pictures := self.formats & {"png", "svg"}:
            draw = partial(summary_figure, result["maps"], result["repeated words"])
            save(draw, self.folder / "summary", pictures, "What is attended")


class Spread:
    """How the rows of one layer's maps spread their weight."""

    least = 1  # places of a row that says something

    def __init__(self) -> None:
        self.rows, self.sums = 0, defaultdict[str, float](float)

    def add(self, attention: Map) -> None:
        for row in attention.rows():
            if len(row) >= self.least:
                # from the nearest on, within a text
                self.add_row((row if attention.direction == BACKWARD else row[::-1]).astype(float))

    def add_row(self, row: Floats) -> None:
        entropy = -float((row[row > 0] * np.log2(row[row > 0])).sum())
        self.rows += 1
        self.sums["weight on the strongest"] += row.max()
        self.sums["entropy in bits"] += entropy
        self.sums["entropy as share of uniform"] += entropy / max(1.0, np.log2(len(row)))

    def result(self) -> Entry:
        """As JSON has it."""
        names = "weight on the strongest", "entropy in bits", "entropy as share of uniform"
        return {"rows": self.rows, **{name: self.mean(name) for name in names}}

    def mean(self, name: str) -> float:
        return round(float(self.sums[name] / max(1, self.rows)), 4)


class Distances(Spread):
    """Within a text also where the weight is; rows with one token to attend say nothing."""

    least = 2

    def __init__(self) -> None:
        super().__init__()
        self.weights = np.zeros((_BINS, FARTHEST + 2))  # by number of places and distance
        self.places = np.zeros((_BINS, FARTHEST + 2))

    def add_row(self, row: Floats) -> None:
        super().add_row(row)
        self.sums["weight on the nearest"] += row[0]
        distances = np.arange(1, len(row) + 1).clip(max=FARTHEST + 1)
        self.weights[bin_of(len(row))] += np.bincount(distances, row, FARTHEST + 2)
        self.places[bin_of(len(row))] += np.bincount(distances, minlength=FARTHEST + 2)

    def result(self) -> Entry:
        weights, places = self.weights.sum(axis=0), self.places.sum(axis=0)
        by_distance = _ratio(weights, places)
        near = by_distance[1:-1][places[1:-1] > 0].tolist()
        return {
            "rows": self.rows,
            "weight on the nearest": self.mean("weight on the nearest"),
            **super().result(),
            "mean weight by distance": [round(weight, 5) for weight in near],
            "mean weight farther": round(float(by_distance[-1]), 5),
        }

    def means(self) -> Floats:
        """The mean weight by number of places (a bin) and distance: what chance expects."""
        return _ratio(self.weights, self.places)


def bin_of(places: int) -> int:
    """Rows of 2, 3 to 4, 5 to 8, ... places are expected to be alike."""
    return int(np.ceil(np.log2(places)))


_BINS = bin_of(1000) + 1


def _ratio(sums: Floats, counts: Floats) -> Floats:
    return np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)


class Repeats:
    """Does a language model find a word's earlier occurrence?

    At every step, weight on earlier tokens that have to do with a repeated word, against what
    their distance alone would give them: the means of the same layer's ``Distances``.
    """

    kinds = (
        "the word just read, where it occurred before",
        "what followed it there",
        "the word to come, where it occurred before",
    )

    def __init__(self, distances: Distances) -> None:
        self.distances = distances
        self.steps = Counter[str]()
        self.weights = defaultdict[str, float](float)
        # tokens by kind, bin of places and distance
        self.slots = {kind: Counter[tuple[int, int]]() for kind in self.kinds}

    def add(self, attention: Map, words: Sequence[str]) -> None:
        """Add a ``Map`` of a text of ``words``."""
        for t, row in enumerate(attention.rows()):
            if len(row) < 2:
                continue
            before = occurrences(words, t, t)
            followed = [s + 1 for s in before if s + 1 < t]
            for kind, slots in zip(self.kinds, (before, followed, occurrences(words, t + 1, t))):
                if slots:
                    self.count(kind, t, row, slots)

    def count(self, kind: str, t: int, row: FloatArray, slots: Sequence[int]) -> None:
        self.steps[kind] += 1
        self.weights[kind] += float(row[slots].sum())
        self.slots[kind].update((bin_of(len(row)), min(t - s, FARTHEST + 1)) for s in slots)

    def result(self) -> Iterator[Entry]:
        """As JSON has it."""
        means = self.distances.means()
        for kind in self.kinds:
            expected = sum(means[place] * count for place, count in self.slots[kind].items())
            steps = max(1, self.steps[kind])
            yield {
                "attends": kind,
                "steps": self.steps[kind],
                "weight": round(self.weights[kind] / steps, 5),
                "weight by distance alone": round(float(expected) / steps, 5),
            }


def occurrences(words: Sequence[str], t: int, before: int) -> list[int]:
    """Where the word at t occurs among the first ``before``; nowhere for a t behind the end."""
    return [s for s in range(before) if t < len(words) and words[s] == words[t]]


def summary_figure(maps: Sequence[Entry], repeats: Sequence[Entry]) -> Figure:
    """Weight by distance and, of a language model, beside it weight on earlier occurrences."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10 if repeats else 5.5, 4.2), facecolor="white", layout="constrained")
    axes = figure.subplots(1, 2 if repeats else 1, squeeze=False)[0]
    draw_distances(axes[0], [entry for entry in maps if "mean weight by distance" in entry])
    if repeats:
        draw_repeats(axes[1], repeats)
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure


def draw_distances(axes: Axes, maps: Sequence[Entry]) -> None:
    """A line for every layer and direction within a text."""
    for k, (entry, shade) in enumerate(zip(maps, np.linspace(1, 0.4, len(maps)))):
        weights = entry["mean weight by distance"]
        axes.plot(
            range(1, len(weights) + 1),
            weights,
            color=shades()(shade),
            linestyle=("-", "--", "-.", ":")[k % 4],
            marker=".",
            label=f"{entry['map']}, {entry['entropy in bits']:.1f} bits",
        )
    axes.set(xlabel="distance in tokens", ylabel="mean weight", ylim=(0, None))
    if maps:
        axes.legend(frameon=False, fontsize=8, title="map, mean entropy", title_fontsize=8)
    else:
        axes.text(0.5, 0.5, "no attention within a text", ha="center", transform=axes.transAxes)


def draw_repeats(axes: Axes, repeats: Sequence[Entry]) -> None:
    """Two bars for each layer and kind: the weight, and what distance alone would give."""
    # the file speaks of words, which the model's tokens may only be parts of
    names = [
        f"{entry['attends'].replace('word', 'token')}\n({entry['map']}, {entry['steps']:,} steps)"
        for entry in repeats
    ]
    places = np.arange(len(repeats))
    for name, colour, shift in (
        ("weight", shades()(1.0), -0.2),
        ("weight by distance alone", MARK, 0.2),
    ):
        axes.barh(
            places + shift, [entry[name] for entry in repeats], 0.38, color=colour, label=name
        )
    axes.set_yticks(places, names, fontsize=7, color=INK)
    axes.invert_yaxis()
    axes.set_xlabel("weight a step, on all such tokens")
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
