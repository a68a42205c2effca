"""Drawings as PNG and SVG files that carry no date."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from fairseq_lstmn.attend.outputs.figures.drawing import Drawing
from fairseq_lstmn.drawings import NO_METADATA, settings

if TYPE_CHECKING:  # slow to import
    from matplotlib.figure import Figure

_DOTS = 200  # per inch, of a PNG


def save(made: Callable[[], Figure], path: Path, formats: Iterable[str], title: str) -> None:
    """Write the Figure that ``made()`` makes to ``path`` (without ending), as png and svg."""
    with settings("fairseq-lstmn attention"):
        figure = made()
        for ending in sorted(formats):
            metadata = {**NO_METADATA, "Title": title} if ending == "svg" else {"Title": title}
            figure.savefig(f"{path}.{ending}", dpi=_DOTS, metadata=metadata)


def figure_of(drawing: Drawing) -> Figure:
    """The Figure of a ``Drawing``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(drawing.width / 72, drawing.height / 72), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, drawing.width), ylim=(drawing.height, 0))
    axes.set_axis_off()
    drawing.draw(axes)
    return figure
