"""PNG and SVG of every map in three views, for papers: a file each."""

from functools import partial

from fairseq_lstmn.attention.outputs.figures.arcs import arcs
from fairseq_lstmn.attention.outputs.figures.drawing import with_key
from fairseq_lstmn.attention.outputs.figures.files import figure_of, save
from fairseq_lstmn.attention.outputs.figures.matrix import matrix
from fairseq_lstmn.attention.outputs.figures.reading_rows import reading_rows
from fairseq_lstmn.attention.outputs.left_out import left_out
from fairseq_lstmn.attention.reading import BACKWARD
from fairseq_lstmn.attention.scale import Scale
from fairseq_lstmn.drawings import quieten

VIEWS = {"reading": reading_rows, "arcs": arcs, "matrix": matrix}


class Figures:
    """Files of ``formats``, named by line, map and view, of the first ``limit`` readings."""

    def __init__(self, folder, formats, limit):
        quieten()
        self.folder, self.formats, self.limit, self.read = folder, formats, limit, 0

    def add(self, reading):
        self.read += 1
        if self.read > self.limit:
            return
        for found in reading.maps:
            for view, made in VIEWS.items():
                path = self.folder / f"{name(reading.line, found)}-{view}"
                drawn = partial(figure, made, found, reading.texts)
                save(drawn, path, self.formats, f"{found.title}: {view}")

    @property
    def left_out(self):
        return left_out(self.read, self.limit)

    def close(self):
        """All is written."""


def figure(made, found, texts):
    """The Figure of a ``Map`` of ``texts`` as the view ``made`` draws it."""
    return figure_of(with_key(made(found, texts), Scale(found).top))


def name(line, found):
    """A map's files begin so: line, part of the model, layer and, if it is backward, that."""
    direction = "-backward" if found.direction == BACKWARD else ""
    return f"{line:04}-{found.part}-layer{found.layer}{direction}"
