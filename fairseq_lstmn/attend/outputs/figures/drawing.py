"""Drawings on paper: words, shades and curves, placed in points from the upper left corner."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from fairseq_lstmn.attend.outputs.figures.shades import colour

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes

Texts: TypeAlias = Mapping[str, list[str]]  # tokens by the name of their text
Point: TypeAlias = tuple[float, float]

INK, PAPER, MARK = "#1b1f24", "#ffffff", "#b34000"  # as on the page
SIZE = 10  # of words, points
DEEP = 0.65  # a shade from which on words stand in the colour of paper
WIDTH = 720  # of a drawing that can be broken into lines


class Drawing(NamedTuple):
    """A picture of ``width`` by ``height`` points, which ``draw`` puts into Matplotlib's axes."""

    width: float
    height: float
    draw: Callable[[Axes], None]


@cache
def width_of(word: str) -> float:
    """Of a word, in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    width, _, _ = text_to_path.get_text_width_height_descent(
        word, FontProperties(size=SIZE), ismath=False
    )
    return width


def write(axes: Axes, x: float, y: float, word: str, **look: Any) -> None:
    """A word whose middle line is at ``y``."""
    axes.text(x, y, word, **{"va": "center_baseline", "size": SIZE, "color": INK, **look})


def with_key(drawing: Drawing, top: float) -> Drawing:
    """The ``Drawing`` above a key of the shades, which end at a weight of ``top``."""
    y, left, step = drawing.height + 8, 8, 4
    words = "weight 0", f"{top:.2f}" + ("" if top == 1 else " or more")
    start = left + width_of(words[0]) + 6
    end = start + 25 * step + 6

    def draw(axes: Axes) -> None:
        drawing.draw(axes)
        for k in range(25):
            box(axes, start + k * step, y - 5, step, 10, k / 24)
        write(axes, left, y, words[0])
        write(axes, end, y, words[1])

    width = max(drawing.width, end + width_of(words[1]) + left)
    return Drawing(width, drawing.height + 20, draw)


def box(axes: Axes, x: float, y: float, width: float, height: float, shade: float) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x, y), width, height, facecolor=colour(shade), linewidth=0))


def curve(
    axes: Axes, vertices: Sequence[Point], codes: Sequence[int], shade: float, width: float
) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    path = Path(vertices, codes)
    look = {"edgecolor": colour(shade), "linewidth": width, "capstyle": "round"}
    axes.add_patch(PathPatch(path, facecolor="none", **look))
