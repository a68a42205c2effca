"""Corpora with a row a line and columns separated by tabs: SICK, and a user's own.

SICK (Marelli et al. 2014), its entailment labels, is one file whose column SemEval_set tells the
split, or three files, as SemEval 2014 had it. It is not tokenised. A user's own files have a label
and one or two sentences, also as spreadsheets write them.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from fairseq_lstmn.data.data_folder import SPLITS
from fairseq_lstmn.data.labelled_rows import BadRow, LeftOut, Row, Table, text_of
from fairseq_lstmn.data.source_files import SourceFiles
from fairseq_lstmn.errors import InputError

SICK = "SICK.txt"
SICK_BY_SPLIT = {
    "train": "SICK_train.txt",
    "valid": "SICK_trial.txt",
    "test": "SICK_test_annotated.txt",
}
SPLIT_OF_SET = {"TRAIN": "train", "TRIAL": "valid", "TEST": "test"}
LABEL_COLUMNS = "entailment_label", "entailment_judgment"  # of the one file, of the three
# as in the Penn Treebank: is n't, man 's, but t-shirt
WORD = re.compile(r"\w+(?=n't)|n't|'\w+|[\w-]+|[^\w\s]", re.IGNORECASE)


def sick_tables(files: SourceFiles) -> Iterator[Table]:
    if files.has(SICK):
        yield sick_table(files, SICK)
        return
    for split, name in SICK_BY_SPLIT.items():
        yield sick_table(files, name, split)


def sick_table(files: SourceFiles, name: str, split: str | None = None) -> Table:
    """The Table of a file, of one split or with a column that tells it."""
    path, lines = files.numbered_lines(name)
    header = read_header(path, lines)
    label = next(filter(header.__contains__, LABEL_COLUMNS), LABEL_COLUMNS[0])
    columns = ["sentence_A", "sentence_B", label] + ([] if split else ["SemEval_set"])
    for column in columns:
        if column not in header:
            raise InputError(f"{path}: its header has no column {column}")
    return Table(path, lines, partial(sick_row, header, columns, split))


def read_header(path: str, lines: Iterator[tuple[int, str]]) -> list[str]:
    """The columns that the first of the numbered ``lines`` names; it is taken from them."""
    _, header = next(lines, (1, ""))
    try:
        return text_of(header).split("\t")
    except BadRow as error:
        raise InputError(f"{path}: has no header ({error})") from None


def sick_row(header: Sequence[str], columns: Sequence[str], split: str | None, text: str) -> Row:
    fields = dict(zip(header, text.split("\t")))
    for column in columns:
        if column not in fields:
            raise BadRow("missing column", column)
    first, second, label, *semeval_set = (fields[column] for column in columns)
    pair = tokenised(first), tokenised(second)
    return Row(split or split_of(*semeval_set), label.lower(), pair)


def split_of(semeval_set: str) -> str:
    if semeval_set not in SPLIT_OF_SET:
        raise BadRow("unknown SemEval_set", semeval_set)
    return SPLIT_OF_SET[semeval_set]


def tokenised(sentence: str) -> str:
    return " ".join(WORD.findall(sentence))


FLAGS = (
    ("no_header", "read the first rows as data, also where they look like a header"),
    (
        "keep_quotes",
        "keep the quotes around fields, also where all of a file's look like a spreadsheet's",
    ),
)
QUOTES_NOTE = "fields without their quotes, as of a spreadsheet (--keep-quotes keeps them)"
LONE_LABEL_NOTE = "only the first row has the label {!r}; if that is a header, take it out"
# words of a sentence are separated by spaces, also from quotes that are its own
QUOTED = re.compile(r'"(?!\s)((?:[^"]|"")*)(?<!\s)"')


class Part(NamedTuple):
    """A file of the user's: its path, numbered lines and rows, the fields of its valid lines.

    ``quoted``: whether its fields had a spreadsheet's quotes, which its ``rows`` have not.
    """

    path: str
    lines: list[tuple[int, str]]
    rows: list[list[str]]
    quoted: bool


def tsv_tables(
    files: SourceFiles, no_header: bool = False, keep_quotes: bool = False
) -> Iterator[Table]:
    """The Tables of ``files``; the arguments are those of FLAGS."""
    parts = {split: read_part(files, split, keep_quotes) for split in SPLITS}
    labels = Counter(row[0] for part in parts.values() for row in part.rows)
    reader = TsvRows(None if no_header else common_header(list(parts.values()), labels))
    for split, part in parts.items():
        notes = [QUOTES_NOTE] if part.quoted else []
        if split == "train" and part.rows and labels[part.rows[0][0]] == 1:
            notes.append(LONE_LABEL_NOTE.format(part.rows[0][0]))
        parse = partial(reader.row, split, part.quoted)
        yield Table(part.path, part.lines, parse, tuple(notes))


def read_part(files: SourceFiles, split: str, keep_quotes: bool) -> Part:
    path, numbered = files.numbered_lines(f"{split}.tsv")
    lines = list(numbered)
    texts = list(valid_texts(line for _, line in lines))
    quoted = not keep_quotes and has_quoted_fields(texts)
    return Part(path, lines, [fields_of(text, quoted) for text in texts], quoted)


def valid_texts(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        try:
            yield text_of(line)
        except BadRow:
            continue


def has_quoted_fields(texts: Iterable[str]) -> bool:
    """Whether there are quotes in ``texts``, all as spreadsheets set them."""
    with_quotes = [field for text in texts for field in text.split("\t") if '"' in field]
    return bool(with_quotes) and all(map(QUOTED.fullmatch, with_quotes))


def fields_of(text: str, quoted: bool) -> list[str]:
    """The fields of a row, of one whose file has ``quoted`` ones without their quotes."""
    return [unquoted(field) if quoted else field for field in text.split("\t")]


def unquoted(field: str) -> str:
    match = QUOTED.fullmatch(field)
    return match[1].replace('""', '"') if match else field


def common_header(parts: Sequence[Part], labels: Mapping[str, int]) -> list[str] | None:
    """The row that all ``parts`` begin with, whose label no other has; None without one.

    ``labels`` counts the labels of all rows.
    """
    firsts = [part.rows[:1] for part in parts]
    if not firsts[0] or any(first != firsts[0] for first in firsts):
        return None
    [row] = firsts[0]
    return row if labels[row[0]] == len(parts) else None


class TsvRows:
    """Rows with as many sentences as the first that has one or two, and the ``header`` to skip."""

    def __init__(self, header: list[str] | None = None) -> None:
        self.sentences: int | None = None
        self._header = header

    def row(self, split: str, quoted: bool, text: str) -> Row:
        label, *sentences = fields = fields_of(text, quoted)
        if fields == self._header:
            raise LeftOut(f"a header ({', '.join(fields)}; --no-header reads it as data)")
        if self.sentences is None and len(sentences) in (1, 2):
            self.sentences = len(sentences)
        if len(sentences) > (self.sentences or 2):
            raise BadRow("too many columns", len(sentences) + 1)
        if len(sentences) < (self.sentences or 1):
            raise BadRow("missing column", text)
        return Row(split, label, tuple(sentences))
