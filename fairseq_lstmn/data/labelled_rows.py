"""Rows of a labelled corpus, each a label and one or two sentences, and what is wrong with some."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from fairseq_lstmn.data.normalisation import Normalisation
from fairseq_lstmn.data.whole_folder import RESERVED, SPLITS

UNDECODABLE = "bytes that are no text in this encoding"
NULL = "a null character, as in UTF-16 read by another encoding"


class BadRow(Exception):
    """A row that cannot be used: ``reason`` says why, in words that other rows share."""

    def __init__(self, reason: str, found: object = "") -> None:
        super().__init__(f"{reason}: {found!r:.60}" if found else reason)
        self.reason = reason


class LeftOut(Exception):
    """A sound row that is not used by custom; says why."""


class Row(NamedTuple):
    """A sentence or a pair with its label; the words of a sentence are separated by spaces."""

    split: str
    label: str
    sentences: tuple[str, ...]

    @property
    def tokens(self) -> int:
        """Words and ends of sentences: what fairseq's --max-positions is held against."""
        return sum(len(sentence.split()) + 1 for sentence in self.sentences)


class Table(NamedTuple):
    """A file: its path to report, its numbered lines and what makes a Row of a line's text.

    ``parse`` may raise BadRow or LeftOut instead. ``notes`` are of the file as a whole.
    """

    path: str
    lines: Iterable[tuple[int, str]]
    parse: Callable[[str], Row]
    notes: tuple[str, ...] = ()


class LabelledRows:
    """The rows of a corpus by split, lower-cased unless ``keep_case``, and those not used.

    ``normalisation`` is what is done to their sentences. ``labels`` are the labels that may
    occur; None for those of the rows of the training split, which must then be read first.
    ``bad`` has a "path:line: reason" and a reason for each row that is bad, ``left_out`` counts the
    rows left out by reason, ``notes`` are those of the Tables, with their paths.
    """

    def __init__(self, labels: Iterable[str] | None = None, keep_case: bool = False) -> None:
        self.splits: dict[str, list[Row]] = {split: [] for split in SPLITS}
        self.labels = set(labels or ())
        self.bad: list[tuple[str, str]] = []
        self.left_out: Counter[str] = Counter()
        self.notes: list[str] = []
        self._learns_labels, self.normalisation = labels is None, Normalisation(not keep_case)

    def read(self, table: Table) -> None:
        """Add the rows of a Table."""
        self.notes += [f"{table.path}: {note}" for note in table.notes]
        for number, line in table.lines:
            try:
                self._add(table.parse(text_of(line)))
            except LeftOut as reason:
                self.left_out[str(reason)] += 1
            except BadRow as error:
                self.bad.append((f"{table.path}:{number}: {error}", error.reason))

    def _add(self, row: Row) -> None:
        sentences = tuple(map(self._normal, row.sentences))
        if self._learns_labels and row.split == "train":
            self.labels.add(usable(row.label))
        # without any, no row of training is sound, which is what is wrong then
        if self.labels and row.label not in self.labels:
            raise BadRow("unknown label", row.label)
        self.splits[row.split].append(row._replace(sentences=sentences))

    def _normal(self, sentence: str) -> str:
        sentence = self.normalisation(sentence)
        if not sentence:
            raise BadRow("empty sentence")
        for word in RESERVED.intersection(sentence.split()):
            raise BadRow("a mark that fairseq adds by itself", word)
        return sentence


def text_of(line: str) -> str:
    """Return the text of one of ``source_files.lines_of``, without its end and byte order mark."""
    text = line.removeprefix("\ufeff").rstrip("\r\n")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        undecodable = bytes(ord(letter) & 0xFF for letter in text[error.start : error.end])
        raise BadRow(UNDECODABLE, undecodable) from None
    if not text.strip():
        raise BadRow("blank line")
    if "\r" in text:
        raise BadRow("a carriage return within the row", text[text.index("\r") :])
    if "\0" in text:
        raise BadRow(NULL, text)
    return text


def usable(label: str) -> str:
    """Return ``label`` if it can be a word of fairseq's dictionary of labels."""
    if label.split() != [label] or label in RESERVED or label == "<unk>":
        raise BadRow("a label must be one word and no mark of fairseq's", label)
    return label
