"""Rows of a labelled corpus, each a label and one or two sentences: checked, and written.

They are written as fairseq's task ``sentence_prediction`` reads them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fairseq_lstmn.data.data_folder import (
    RESERVED,
    SPLITS,
    Normalisation,
    binarise,
    write_lines,
)
from fairseq_lstmn.errors import InputError

UNDECODABLE = "bytes that are no text in this encoding"
NULL = "a null character, as in UTF-16 read by another encoding"


class BadRow(Exception):
    """A row that cannot be used: ``reason`` says why, in words that other rows share."""

    def __init__(self, reason: str, text: object = "") -> None:
        super().__init__(f"{reason}: {text!r:.60}" if text else reason)
        self.reason = reason


class LeftOut(Exception):
    """A valid row that is not used by custom; says why."""


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
        # without any, no row of training is valid, which is what is wrong then
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
    """The text of one of ``source_files.lines_of``, without its end and byte order mark."""
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
    """``label``, if it can be a word of fairseq's dictionary of labels; raises BadRow."""
    if label.split() != [label] or label in RESERVED or label == "<unk>":
        raise BadRow("a label must be one word and no mark of fairseq's", label)
    return label


def write_rows(
    folder: Path,
    splits: Mapping[str, Sequence[Row]],
    labels: Iterable[str],
    threshold: int = 1,
) -> None:
    """Fill ``folder`` with ``splits``, a list of Rows for each of SPLITS.

    It gets {train,valid,test}.tsv, a row's label and sentences, and in binary form input0, for
    pairs input1, and label. All sentences share one dictionary, the words that occur
    ``threshold`` times or more on either side in training; the ids of ``labels`` follow their
    alphabetical order. Raises InputError, naming ``--threshold``, for a dictionary without words.
    """
    for split in SPLITS:
        rows = splits[split]
        write_lines(folder / f"{split}.tsv", ("\t".join([r.label, *r.sentences]) for r in rows))

    words = Counter(
        word for row in splits["train"] for text in row.sentences for word in text.split()
    )
    frequent = by_frequency(words, threshold)
    if not frequent:
        most = max((count for _, count in by_frequency(words, 1)), default=0)
        raise InputError(
            f"--threshold {threshold}: no word of the training part occurs more than {most} times"
        )
    write_dictionary(folder / "input0", frequent)
    for side in range(len(splits["train"][0].sentences)):
        texts = {split: [row.sentences[side] for row in splits[split]] for split in SPLITS}
        write_binary(folder, f"input{side}", "input0", texts)

    counts = Counter(row.label for row in splits["train"])
    write_dictionary(folder / "label", ((label, counts[label]) for label in sorted(labels)))
    texts = {split: [row.label for row in splits[split]] for split in SPLITS}
    write_binary(folder, "label", "label", texts)


def by_frequency(counts: Mapping[str, int], threshold: int) -> list[tuple[str, int]]:
    """The (word, count) of a dictionary in the order of fairseq-preprocess."""
    frequent = (
        (word, count)
        for word, count in counts.items()
        # fairseq adds <unk> to every dictionary by itself
        if count >= threshold and word != "<unk>"
    )
    return sorted(frequent, key=lambda entry: (-entry[1], entry[0]))


def write_dictionary(folder: Path, entries: Iterable[tuple[str, int]]) -> None:
    folder.mkdir()
    write_lines(folder / "dict.txt", (f"{word} {count}" for word, count in entries))


def write_binary(
    folder: Path, name: str, dictionary: str, texts: Mapping[str, Iterable[str]]
) -> None:
    """Binarise ``texts`` (lines by split) into folder/NAME, by the dictionary of another."""
    plain = {folder / f"{split}.{name}": lines for split, lines in texts.items()}
    for path, lines in plain.items():
        write_lines(path, lines)
    dictionary = f"{dictionary}/dict.txt"
    binarise(folder, "--only-source", "--srcdict", dictionary, suffix=f".{name}", into=name)
    for path in plain:
        path.unlink()
