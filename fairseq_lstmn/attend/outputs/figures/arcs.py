"""Figures 4 and 5 of Cheng et al. 2016: words and an arc for each link, the strongest bold.

Within a text the words stand in a line or, where that would be too wide, in a column; across
texts in two columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fairseq_lstmn.attend.outputs.figures.drawing import (
    WIDTH,
    Drawing,
    Point,
    Texts,
    curve,
    width_of,
    write,
)
from fairseq_lstmn.attend.reading import ACROSS, Map
from fairseq_lstmn.attend.scale import Link, Scale, links

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes

_STEP, _EDGE, _GAP = 16, 10, 10  # points
_MOVE, _CURVE = 1, 4  # Matplotlib's codes of a path


class Places(NamedTuple):
    """Where words stand (x, y, word, alignment), and the points of a link's curve."""

    width: float
    height: float
    words: Sequence[tuple[float, float, str, str]]
    points: Callable[[int, int], list[Point]]


def arcs(found: Map, texts: Texts) -> Drawing:
    """The ``Drawing`` of a ``Map`` of ``texts``."""
    asks, reads, drawn = texts[found.asks], texts[found.reads], links(found)
    if found.direction == ACROSS:
        places = two_columns(asks, reads)
    elif sum(width_of(word) + _GAP for word in reads) <= WIDTH:
        places = line(reads, drawn)
    else:
        places = column(reads, drawn)
    scale = Scale(found)

    def draw(axes: Axes) -> None:
        for t, s, weight, strongest in drawn:
            shade = scale.shade(weight)
            width = 1 + 3 * shade if strongest else 0.3 + 2 * shade
            codes = [_MOVE, _CURVE, _CURVE, _CURVE]
            curve(axes, places.points(t, s), codes, 0.2 + 0.8 * shade, width)
        for x, y, word, side in places.words:
            write(axes, x, y, word, ha=side)

    return Drawing(places.width, places.height, draw)


def line(words: Sequence[str], drawn: Sequence[Link]) -> Places:
    """Words side by side, arcs above them, as high as the links that are drawn need."""
    centres: list[float] = []
    x: float = _EDGE
    for word in words:
        centres.append(x + width_of(word) / 2)
        x += width_of(word) + _GAP
    longest = max([1, *(abs(centres[t] - centres[s]) for t, s, *_ in drawn)])
    base = _EDGE + min(170, 30 + longest / 3)

    def points(t: int, s: int) -> list[Point]:
        # a cubic's top is at three quarters of its handles' height
        high = (base - _EDGE) * (abs(centres[t] - centres[s]) / longest) ** 0.7 * 4 / 3
        return [(centres[t], base), (centres[t], base - high), (centres[s], base - high),
                (centres[s], base)]  # fmt: skip

    placed = [(at, base + 12, word, "center") for at, word in zip(centres, words)]
    return Places(x, base + 24, placed, points)


def column(words: Sequence[str], drawn: Sequence[Link]) -> Places:
    """Words below each other, arcs at their left."""
    most = max([1, *(abs(t - s) for t, s, *_ in drawn)])
    deep = min(220, 30 + 8 * most)
    left = deep + _EDGE  # a cubic reaches three quarters of its handles' distance

    def points(t: int, s: int) -> list[Point]:
        far = left - deep * (abs(t - s) / most) ** 0.7 * 4 / 3
        return [(left, at(t)), (far, at(t)), (far, at(s)), (left, at(s))]

    placed = [(left + 6, at(k), word, "left") for k, word in enumerate(words)]
    width = left + 6 + max(map(width_of, words)) + _EDGE
    return Places(width, at(len(words)), placed, points)


def two_columns(asks: Sequence[str], reads: Sequence[str]) -> Places:
    """Who attends on the left, who is attended on the right."""
    left, right = max(map(width_of, asks)), max(map(width_of, reads))
    ends = _EDGE + left + 6, _EDGE + left + 6 + 180
    most = max(len(asks), len(reads))
    lower = [_STEP * (most - len(words)) / 2 for words in (asks, reads)]

    def points(t: int, s: int) -> list[Point]:
        middle, a, b = sum(ends) / 2, at(t) + lower[0], at(s) + lower[1]
        return [(ends[0], a), (middle, a), (middle, b), (ends[1], b)]

    placed = [(ends[0] - 6, at(k) + lower[0], word, "right") for k, word in enumerate(asks)]
    placed += [(ends[1] + 6, at(k) + lower[1], word, "left") for k, word in enumerate(reads)]
    return Places(ends[1] + 6 + right + _EDGE, at(most), placed, points)


def at(k: int) -> float:
    """The height of word k in a column."""
    return _EDGE + (k + 0.5) * _STEP
