"""Lines in, readings out: in the order of the lines, read in batches of similar length."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Protocol, TypeVar

from fairseq_lstmn.attend.reading import Reading
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.inference.checkpoint import Trained
from fairseq_lstmn.inference.lines import BadLine, LineReader

Row = TypeVar("Row")  # a line as its reader encodes it

_CHUNK = 128  # lines that are sorted by length, and kept, at a time
_ROWS = 64  # of a batch at most
_WEIGHTS = 1 << 22  # of a batch and layer at most


class Reader(Protocol[Row]):
    """What ``readers`` have in common."""

    trained: Trained
    lines: LineReader

    def encode(self, line: bytes) -> Row:
        """The row that a line is to the model. Raises BadLine."""

    def size(self, row: Row) -> int:
        """Tokens, by which rows of similar length are found."""

    def read(self, rows: list[Row]) -> Iterator[Reading]:
        """A ``Reading`` for each row."""


def readings(
    reader: Reader[Row], lines: Iterable[bytes], layer: int | None = None
) -> Iterator[Reading]:
    """Yield a ``Reading`` for each of ``lines`` (bytes), with a line's error where it is bad.

    ``layer`` (from 1) keeps the maps of that layer only; None keeps all. Raises InputError for a
    layer that the model lacks, or lines that are none.
    """
    numbered, any_line = enumerate(lines, start=1), False
    while chunk := list(islice(numbered, _CHUNK)):
        any_line = True
        for (number, _), found in zip(chunk, _read(reader, [line for _, line in chunk])):
            yield _with_layer(found, layer)._replace(line=number)
    if not any_line:
        raise InputError("INPUT: has no line")


def _read(reader: Reader[Row], lines: list[bytes]) -> list[Reading]:
    """The readings of a chunk of lines, in order."""
    found: dict[int, Reading] = {}
    sound: dict[int, Row] = {}
    for at, line in enumerate(lines):
        try:
            sound[at] = reader.encode(line)
        except BadLine as error:
            found[at] = Reading(error=str(error))
    for batch in _batches({at: reader.size(row) for at, row in sound.items()}):
        for at, reading in zip(batch, reader.read([sound[at] for at in batch])):
            found[at] = reading.checked()
    return [found[at] for at in range(len(lines))]


def _batches(sizes: Mapping[int, int]) -> Iterator[list[int]]:
    """Lists of keys of ``sizes``, the largest first, that fit into a batch."""
    order = sorted(sizes, key=lambda at: sizes[at], reverse=True)
    while order:
        rows = max(1, min(_ROWS, _WEIGHTS // sizes[order[0]] ** 2))
        yield order[:rows]
        order = order[rows:]


def _with_layer(reading: Reading, layer: int | None) -> Reading:
    kept = reading.only(layer)
    if reading.maps and not kept.maps:
        there = sorted({found.layer for found in reading.maps})
        raise InputError(f"--layer {layer}: the model has {', '.join(map(str, there))}")
    return kept
