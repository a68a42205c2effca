"""Figure 1 of Cheng et al. 2016: a row a step, the word that is read, its past shaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from fairseq_lstmn.attend.outputs.figures.drawing import (
    DEEP,
    INK,
    MARK,
    PAPER,
    WIDTH,
    Drawing,
    Texts,
    box,
    width_of,
    write,
)
from fairseq_lstmn.attend.reading import BACKWARD, FORWARD, Map
from fairseq_lstmn.attend.scale import Scale

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes

Shaded: TypeAlias = tuple[str, float | None]  # a word and its shade

_LINE, _GAP, _EDGE = 15, 5, 8  # points


def reading_rows(found: Map, texts: Texts) -> Drawing:
    """The ``Drawing`` of a ``Map`` of ``texts``."""
    placed: list[tuple[float, float, str, float | None]] = []
    y = _EDGE
    for row in rows(found, texts):
        x: float = _EDGE
        for word, shade in row:
            if x > _EDGE and x + width_of(word) > WIDTH - _EDGE:
                x, y = 3 * _EDGE, y + _LINE
            placed.append((x, y, word, shade))
            x += width_of(word) + _GAP
        y += _LINE + 2
    width = max(x + width_of(word) for x, _, word, _ in placed) + _EDGE

    def draw(axes: Axes) -> None:
        for x, y, word, shade in placed:
            draw_word(axes, x, y, word, shade)

    return Drawing(width, y + _EDGE, draw)


def rows(found: Map, texts: Texts) -> Iterator[list[Shaded]]:
    """Lists of (word, shade) in the order of reading; None shades the word that is read."""
    scale, asks, reads = Scale(found), texts[found.asks], texts[found.reads]
    steps = range(len(asks))
    for t in reversed(steps) if found.direction == BACKWARD else steps:
        weights = found.rows()[t]
        first = t + 1 if found.direction == BACKWARD else 0
        past: list[Shaded] = [(word, scale.shade(w)) for word, w in zip(reads[first:], weights)]
        now: list[Shaded] = [(asks[t], None)]
        yield past + now if found.direction == FORWARD else now + past


def draw_word(axes: Axes, x: float, y: float, word: str, shade: float | None) -> None:
    middle = y + _LINE / 2
    if shade is None:
        write(axes, x, middle, word, color=MARK, weight="bold")
        return
    box(axes, x - 2, y + 0.5, width_of(word) + 4, _LINE - 1, shade)
    write(axes, x, middle, word, color=PAPER if shade > DEEP else INK)
