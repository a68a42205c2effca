"""PNG and SVG of every map in three views, for papers: a file each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from fairseq_lstmn.attend.outputs.figures.arcs import arcs
from fairseq_lstmn.attend.outputs.figures.drawing import Drawing, Texts, with_key
from fairseq_lstmn.attend.outputs.figures.files import figure_of, save
from fairseq_lstmn.attend.outputs.figures.matrix import matrix
from fairseq_lstmn.attend.outputs.figures.reading_rows import reading_rows
from fairseq_lstmn.attend.outputs.left_out import left_out
from fairseq_lstmn.attend.outputs.visible import visible_texts
from fairseq_lstmn.attend.reading import BACKWARD, Map, Reading
from fairseq_lstmn.attend.scale import Scale
from fairseq_lstmn.drawings import quieten

if TYPE_CHECKING:  # slow to import
    from matplotlib.figure import Figure

View: TypeAlias = Callable[[Map, Texts], Drawing]

VIEWS: dict[str, View] = {"reading": reading_rows, "arcs": arcs, "matrix": matrix}


class Figures:
    """Files of ``formats``, named by line, map and view, of the first ``limit`` readings."""

    def __init__(self, folder: Path, formats: Iterable[str], limit: int) -> None:
        quieten()
        self.folder, self.formats, self.limit, self.read = folder, formats, limit, 0

    def add(self, reading: Reading) -> None:
        self.read += 1
        if self.read > self.limit:
            return
        texts = visible_texts(reading.texts)
        for found in reading.telling_maps:
            for view, made in VIEWS.items():
                path = self.folder / f"{name(reading.line, found)}-{view}"
                drawn = partial(figure, made, found, texts)
                save(drawn, path, self.formats, f"{found.title}: {view}")

    @property
    def left_out(self) -> str | None:
        return left_out(self.read, self.limit)

    def close(self) -> None:
        """All is written."""


def figure(made: View, found: Map, texts: Texts) -> Figure:
    """The Figure of a ``Map`` of ``texts`` as the view ``made`` draws it."""
    return figure_of(with_key(made(found, texts), Scale(found).top))


def name(line: int, found: Map) -> str:
    """A map's files begin so: line, part of the model, layer and, if it is backward, that."""
    direction = "-backward" if found.direction == BACKWARD else ""
    return f"{line:04}-{found.part}-layer{found.layer}{direction}"
