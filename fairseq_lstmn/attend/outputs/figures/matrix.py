"""A square for every weight: rows are the words that attend, columns those attended."""

from __future__ import annotations

from math import cos, radians, sin
from typing import TYPE_CHECKING

from fairseq_lstmn.attend.outputs.figures.drawing import Drawing, Texts, box, width_of, write
from fairseq_lstmn.attend.reading import Map
from fairseq_lstmn.attend.scale import Scale

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes

_CELL, _EDGE, _ANGLE = 16, 8, 60  # points, points, degrees


def matrix(found: Map, texts: Texts) -> Drawing:
    """The ``Drawing`` of a ``Map`` of ``texts``."""
    asks, reads, scale = texts[found.asks], texts[found.reads], Scale(found)
    longest = max(map(width_of, reads))
    left = _EDGE + max(map(width_of, asks)) + 5
    top = _EDGE + longest * sin(radians(_ANGLE)) + 12
    lean = width_of(reads[-1]) * cos(radians(_ANGLE))

    def draw(axes: Axes) -> None:
        for t, row in enumerate(found.weights):
            write(axes, left - 5, top + (t + 0.5) * _CELL, asks[t], ha="right")
            for s, weight in enumerate(row):
                if weight > 0:
                    place = left + s * _CELL, top + t * _CELL
                    box(axes, *place, _CELL - 0.7, _CELL - 0.7, scale.shade(weight))
        look = {"rotation": _ANGLE, "rotation_mode": "anchor", "va": "baseline"}
        for s, word in enumerate(reads):
            write(axes, left + (s + 0.6) * _CELL, top - 4, word, **look)

    width = left + len(reads) * _CELL + lean + _EDGE
    return Drawing(width, top + len(asks) * _CELL + _EDGE, draw)
