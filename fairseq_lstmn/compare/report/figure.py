"""The parts that all charts have: axes with margins in pixels, and a legend below them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from fairseq_lstmn.compare.report.numbers import shortened
from fairseq_lstmn.compare.report.series import Look

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW = 16  # pixels, of a legend's line
_CHARACTER = 7.4  # pixels of a character, on average
_NARROW, _WIDE = 20, 44  # characters that a name may have, in two columns and in one


def placed(figure: Figure, left: float, right: float, top: float, bottom: float) -> Axes:
    """Axes with these margins."""
    width, height = figure.get_size_inches() * 72
    return figure.add_axes(
        (left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height)
    )


def margin(labels: Iterable[str]) -> float:
    """Pixels that ``labels`` beside an axis take."""
    return 12 + _CHARACTER * max(map(len, labels))


def columns(names: Collection[str]) -> int:
    """Of the legend: one where a name is long."""
    return 2 if all(len(name) <= _NARROW for name in names) else 1


def legend_height(names: Collection[str]) -> int:
    """Pixels."""
    return _ROW * -(-len(names) // columns(names)) + 8


def legend(figure: Figure, looks_of: Mapping[str, Look]) -> None:
    """Each model's line and mark, at the bottom of the figure."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=look.colour, linestyle=look.dash, linewidth=1.8, marker=look.marker)
        for look in looks_of.values()
    ]
    # Matplotlib leaves out what begins with an underscore
    labels = [f"\u200b{shortened(name, _WIDE)}" for name in looks_of]
    figure.legend(
        handles,
        labels,
        loc="lower center",
        ncol=columns(looks_of),
        handlelength=3.2,
        labelspacing=0.45,
        borderaxespad=0.2,
        fontsize=11,
    )
