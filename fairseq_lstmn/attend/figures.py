"""PNG and SVG of every map in three views, for papers: a file each.

Positions are points (1/72 inch) from the upper left corner of what is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fairseq_lstmn.attend.reading import ACROSS, BACKWARD, DEEP, FORWARD, Map, Reading
from fairseq_lstmn.attend.record import Drawn
from fairseq_lstmn.attend.visible import visible_texts
from fairseq_lstmn.drawings import NO_METADATA, quieten, settings

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

View: TypeAlias = "Callable[[Map, Sequence[str], Sequence[str]], Figure]"
Point: TypeAlias = tuple[float, float]
Words: TypeAlias = list[tuple[float, float, str, str]]  # x, y, word, side of it that is at x
Bend: TypeAlias = Callable[[int, int], list[Point]]  # the four points of a link's cubic

INK, PAPER, STRONG, MARK = "#1b1f24", "#ffffff", "#0b3d91", "#b34000"  # as on the page
SIZE = 10  # of words
WIDTH = 720  # where lines are broken
LINE = 17  # from one line of words to the next
GAP = 10  # between words


class Figures(Drawn):
    """Files of ``formats``, named by line, map and view, of the first ``limit`` readings."""

    def __init__(self, folder: Path, formats: Iterable[str], limit: int) -> None:
        super().__init__(folder, limit)
        self.formats = formats
        quieten()

    def draw(self, reading: Reading) -> None:
        texts = visible_texts(reading.texts)
        for attention in reading.informative_maps:
            direction = "-backward" if attention.direction == BACKWARD else ""
            name = f"{reading.line:04}-{attention.part}-layer{attention.layer}{direction}"
            for view, figure in VIEWS.items():
                draw = partial(figure, attention, texts[attention.queries], texts[attention.keys])
                title = f"{attention.title}: {view}"
                save(draw, self.folder / f"{name}-{view}", self.formats, title)


def save(draw: Callable[[], Figure], path: Path, formats: Iterable[str], title: str) -> None:
    """Write the Figure that ``draw()`` makes to ``path`` (without ending), with no date."""
    with settings("fairseq-lstmn attention"):
        figure = draw()
        for ending in sorted(formats):
            metadata = {**NO_METADATA, "Title": title} if ending == "svg" else {"Title": title}
            figure.savefig(f"{path}.{ending}", dpi=200, metadata=metadata)


@cache
def shades() -> Colormap:
    """From paper, for no weight, to a dark blue in even steps; as on the page."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("attention", [PAPER, STRONG])


def with_key(xlim: Point, ylim: Point, top: float) -> tuple[Figure, Axes]:
    """A figure and its axes, above a key of the shades, which end at a weight of ``top``."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    width, height = max(xlim[1] - xlim[0], 170), ylim[1] - ylim[0]
    size = (width + 6) / 72, (height + 40) / 72  # with what the layout pads
    figure = Figure(figsize=size, facecolor=PAPER, layout="constrained")
    axes, key = figure.subplots(2, height_ratios=(height, 8))
    axes.set(xlim=(xlim[0], xlim[0] + width), ylim=(ylim[1], ylim[0]))
    axes.set_axis_off()
    shaded = ScalarMappable(Normalize(0, top), shades())
    figure.colorbar(shaded, cax=key, orientation="horizontal")
    labels = "weight 0", f"{top:.2f}" + ("" if top == 1 else " or more")
    key.set_xticks((0, top), labels, size=SIZE, color=INK)
    for label, side in zip(key.get_xticklabels(), ("left", "right")):
        label.set_ha(side)
    key.spines[:].set_visible(False)
    key.tick_params(length=0)
    key.set(box_aspect=8 / 150, anchor="W")
    return figure, axes


@cache
def width_of(word: str, weight: str = "normal") -> float:
    """Of a word, in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=SIZE, weight=weight)
    return text_to_path.get_text_width_height_descent(word, font, ismath=False)[0]


def reading_rows(attention: Map, queries: Sequence[str], keys: Sequence[str]) -> Figure:
    """Figure 1 of Cheng et al. 2016: a row a step, the word that is read, its past shaded."""
    backward, rows = attention.direction == BACKWARD, attention.rows()
    placed: list[tuple[float, float, str, float | None]] = []  # no weight where a word is read
    y = 0.0
    for t in reversed(range(len(rows))) if backward else range(len(rows)):
        read: list[tuple[str, float | None]] = [(queries[t], None)]
        past = [*zip(keys[t + 1 :] if backward else keys, rows[t].tolist())]
        x, y = 4.0, y + LINE
        for word, weight in past + read if attention.direction == FORWARD else read + past:
            if x > 4 and x + width_of(word) > WIDTH:
                x, y = 3 * GAP, y + LINE
            placed.append((x, y, word, weight))
            x += width_of(word, "bold" if weight is None else "normal") + GAP / 2
    width = max(x + width_of(word, "bold") for x, _, word, _ in placed) + 4
    figure, axes = with_key((0, width), (0, y + 6), attention.top)
    for x, y, word, weight in placed:
        text = axes.text(x, y, word, size=SIZE, color=MARK, in_layout=False)
        if weight is None:
            text.set_fontweight("bold")
        else:
            shade = weight / attention.top
            text.set_color(PAPER if shade > DEEP else INK)
            text.set_bbox({"facecolor": shades()(shade), "linewidth": 0, "pad": 2})
    return figure


def arcs(attention: Map, queries: Sequence[str], keys: Sequence[str]) -> Figure:
    """Figures 4 and 5 of Cheng et al. 2016: words and an arc for each link, the strongest bold.

    Within a text the words stand in a line or, where that would be too wide, in a column; across
    texts in two columns.
    """
    from matplotlib.collections import PathCollection
    from matplotlib.path import Path as Curve
    from matplotlib.transforms import Bbox

    if attention.direction == ACROSS:
        words, bend = two_columns(queries, keys)
    elif sum(width_of(word) + GAP for word in keys) <= WIDTH:
        words, bend = in_line(keys)
    else:
        words, bend = in_column(keys)
    links = attention.links()
    curves = [Curve(bend(link.t, link.s), [1, 4, 4, 4]) for link in links]  # a move and a cubic
    share = {"left": 0.0, "center": 0.5, "right": 1.0}  # of a word's width that is left of its x
    extents = [curve.get_extents().padded(4) for curve in curves]
    for x, y, word, side in words:
        width = width_of(word)
        extents.append(Bbox.from_bounds(x - share[side] * width, y - 8, width, 16))
    (x0, y0), (x1, y1) = Bbox.union(extents).get_points().tolist()

    figure, axes = with_key((x0, x1), (y0, y1), attention.top)
    for x, y, word, side in words:
        axes.text(x, y, word, ha=side, va="center_baseline", size=SIZE, color=INK, in_layout=False)
    look = [(min(1, link.weight / attention.top), link.strongest) for link in links]
    axes.add_collection(
        PathCollection(
            curves,
            facecolors="none",
            edgecolors=[shades()(0.2 + 0.8 * shade) for shade, _ in look],
            linewidths=[1 + 3 * shade if bold else 0.3 + 2 * shade for shade, bold in look],
            capstyle="round",
        )
    )
    return figure


def in_line(words: Sequence[str]) -> tuple[Words, Bend]:
    """Words side by side, arcs above them."""
    widths = [width_of(word) + GAP for word in words]
    centres = np.cumsum(widths) - np.array(widths) / 2
    longest = max(1.0, centres[-1] - centres[0])
    # a cubic's top is at three quarters of its handles' height
    rise = min(170, 30 + longest / 3) * 4 / 3

    def bend(t: int, s: int) -> list[Point]:
        a, b = centres[t], centres[s]
        high = -rise * (abs(a - b) / longest) ** 0.7
        return [(a, 0), (a, high), (b, high), (b, 0)]

    return [(x, 12, word, "center") for x, word in zip(centres, words)], bend


def in_column(words: Sequence[str]) -> tuple[Words, Bend]:
    """Words below each other, arcs at their left."""
    longest = max(1, len(words) - 1)
    reach = min(220, 30 + 8 * longest) * 4 / 3

    def bend(t: int, s: int) -> list[Point]:
        far = -reach * (abs(t - s) / longest) ** 0.7
        return [(0, LINE * t), (far, LINE * t), (far, LINE * s), (0, LINE * s)]

    return [(6, LINE * k, word, "left") for k, word in enumerate(words)], bend


def two_columns(queries: Sequence[str], keys: Sequence[str]) -> tuple[Words, Bend]:
    """Who attends on the left, who is attended on the right."""
    lower = LINE * (len(keys) - len(queries)) / 2  # where the left column begins

    def bend(t: int, s: int) -> list[Point]:
        a, b = lower + LINE * t, LINE * s
        return [(0, a), (90, a), (90, b), (180, b)]

    words: Words = [(-6, lower + LINE * k, word, "right") for k, word in enumerate(queries)]
    return words + [(186, LINE * k, word, "left") for k, word in enumerate(keys)], bend


def matrix(attention: Map, queries: Sequence[str], keys: Sequence[str]) -> Figure:
    """A square for every weight: rows are the words that attend, columns those attended."""
    cell, longest = 16, [max(map(width_of, words)) for words in (queries, keys)]
    width, height = longest[0] + cell * len(keys) + 20, 0.87 * longest[1] + cell * len(queries)
    figure, axes = with_key((0, width), (0, height + 10), attention.top)
    axes.set_axis_on()
    axes.set_frame_on(False)
    weights = np.ma.masked_less_equal(attention.weights, 0)
    colours: dict[str, Any] = {"cmap": shades(), "vmin": 0, "vmax": attention.top}
    axes.pcolormesh(weights, **colours, edgecolors=PAPER, linewidth=0.7)
    leaning: dict[str, Any] = {"rotation": 60, "ha": "left", "rotation_mode": "anchor"}
    axes.set_xticks(np.arange(len(keys)) + 0.5, keys, size=SIZE, color=INK, **leaning)
    axes.set_yticks(np.arange(len(queries)) + 0.5, queries, size=SIZE, color=INK)
    axes.tick_params(length=0, top=True, labeltop=True, labelbottom=False)
    axes.set(aspect="equal", anchor="W", xlim=(0, len(keys)), ylim=(len(queries), 0))
    return figure


VIEWS: dict[str, View] = {"reading": reading_rows, "arcs": arcs, "matrix": matrix}
