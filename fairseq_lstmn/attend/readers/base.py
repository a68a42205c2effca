"""Lines in, readings out: in the order of the lines, read in batches of similar length.

B batch, T steps, V vocabulary.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from math import log
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from fairseq.data import Dictionary
from torch import Tensor

from fairseq_lstmn.attend.reading import Reading
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.inference.checkpoint import TrainedModel
from fairseq_lstmn.inference.lines import BadLine, LineReader, encode_lines

Row = TypeVar("Row")  # a line as its reader encodes it
AnyReader = TypeVar("AnyReader", bound="type[Reader[Any]]")
# what a decoder of fairseq's returns: scores (B, T, V) and, alone or in a dict, its attention
Output: TypeAlias = tuple[Tensor, Any]

LONGEST = 1000  # tokens; what a picture can hold, whatever the model can
_CHUNK = 128  # lines that are sorted by length, and kept, at a time
_ROWS = 64  # of a batch at most
_WEIGHTS = 1 << 22  # of a batch and layer at most


class Reader(Generic[Row]):
    """Reads lines with one kind of model; ``beam`` is of translations that a line lacks."""

    kinds: ClassVar[dict[type, "type[Reader[Any]]"]] = {}  # by class of model

    def __init__(self, trained: TrainedModel, beam: int) -> None:
        self.trained, self.model, self.task = trained, trained.model, trained.task
        self.dictionary: Dictionary = trained.task.source_dictionary
        self.lines = LineReader(trained.normalisation)

    def encode(self, line: bytes) -> Row:
        """The row that a line is to the model. Raises BadLine."""
        raise NotImplementedError

    def size(self, row: Row) -> int:
        """Tokens, by which rows of similar length come together."""
        raise NotImplementedError

    def read(self, rows: list[Row]) -> Iterator[Reading]:
        """A ``Reading`` for each row."""
        raise NotImplementedError


def reads(model: type) -> Callable[[AnyReader], AnyReader]:
    """Register the class below as the reader of a class of models, and of those that extend it."""

    def register(kind: AnyReader) -> AnyReader:
        Reader.kinds[model] = kind
        return kind

    return register


def reader(trained: TrainedModel, beam: int = 5) -> Reader[Any]:
    """The reader of a model. Raises InputError for one without attention that could be shown."""
    for model in type(trained.model).__mro__:
        if model in Reader.kinds:
            return Reader.kinds[model](trained, beam)
    name = type(trained.model).__name__
    raise InputError(f"{trained.path}: its model ({name}) has no tape and no other attention")


def readings(
    reader: Reader[Row], lines: Iterable[bytes], layer: int | None = None
) -> Iterator[Reading]:
    """Yield a ``Reading`` for each of ``lines`` (bytes), with a line's error where it is bad.

    ``layer`` (from 1) keeps the maps of that layer only; None keeps all. Raises InputError for a
    layer that the model lacks, or lines that are none.
    """
    numbered, number = enumerate(lines, start=1), 0
    while chunk := list(islice(numbered, _CHUNK)):
        for (number, _), reading in zip(chunk, _read(reader, [line for _, line in chunk])):
            yield _of_layer(reading, layer)._replace(line=number)
    if number == 0:
        raise InputError("INPUT: has no line")


def _read(reader: Reader[Row], lines: list[bytes]) -> list[Reading]:
    """The readings of a chunk of lines, in order."""
    rows, errors = encode_lines(lines, reader.encode)
    read = {number: Reading(error=error) for number, error in errors.items()}
    for batch in _batches({number: reader.size(row) for number, row in rows.items()}):
        for number, reading in zip(batch, reader.read([rows[number] for number in batch])):
            read[number] = reading.checked()
    return [read[number] for number in range(len(lines))]


def _batches(sizes: Mapping[int, int]) -> Iterator[list[int]]:
    """Lists of keys of ``sizes``, the largest first, that fit into a batch."""
    order = sorted(sizes, key=lambda number: sizes[number], reverse=True)
    while order:
        rows = max(1, min(_ROWS, _WEIGHTS // sizes[order[0]] ** 2))
        yield order[:rows]
        order = order[rows:]


def _of_layer(reading: Reading, layer: int | None) -> Reading:
    """The reading with the maps of one layer only."""
    if layer is None or not reading.maps:
        return reading
    maps = [attention for attention in reading.maps if attention.layer == layer]
    if not maps:
        layers = sorted({attention.layer for attention in reading.maps})
        raise InputError(f"--layer {layer}: the model has {', '.join(map(str, layers))}")
    return reading._replace(maps=maps)


def check_length(tokens: int, most: float) -> None:
    """Raise BadLine for more tokens than a model reads or a picture holds."""
    if tokens > most:
        raise BadLine(f"{tokens} tokens with the end, but the model reads at most {most:g}")
    if tokens > LONGEST:
        raise BadLine(f"{tokens} tokens with the end, but at most {LONGEST} can be shown")


def unknown(dictionary: Dictionary, tokens: Tensor, shift: int = 0) -> list[int]:
    """Where the unknown ones stand among ``tokens``, counted from ``shift``."""
    return [t + shift for t, token in enumerate(tokens.tolist()) if token == dictionary.unk()]


def surprisals(model: Any, output: Output, target: Tensor) -> list[list[float]]:
    """-log2 p of target (B, T), as lists, from a model's output."""
    logarithms = model.get_normalized_probs(output, log_probs=True, sample={"target": target})
    chosen = logarithms.gather(2, target.unsqueeze(2)).squeeze(2)
    bits: list[list[float]] = (chosen.float() / -log(2)).tolist()
    return bits
