"""Rows of a label and one or two sentences, separated by tabs, also as spreadsheets write them."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from fairseq_lstmn.data.labelled_rows import BadRow, LeftOut, Row, Table, text_of
from fairseq_lstmn.data.source_files import SourceFiles
from fairseq_lstmn.data.whole_folder import SPLITS

FLAGS = (
    (
        "no_header",
        "read the first rows as data, also where they look like a header",
    ),
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
    """A file: its path, numbered lines and rows, lists of fields that are sound as text.

    ``quoted``: whether its fields had a spreadsheet's quotes, which its ``rows`` have not.
    """

    path: str
    lines: list[tuple[int, str]]
    rows: list[list[str]]
    quoted: bool


def tables(
    files: SourceFiles, no_header: bool = False, keep_quotes: bool = False
) -> Iterator[Table]:
    """Yield the Tables of ``files``; the arguments are those of FLAGS."""
    parts = {split: read_part(files, split, keep_quotes) for split in SPLITS}
    labels = Counter(row[0] for part in parts.values() for row in part.rows)
    reader = TsvRows(None if no_header else header(list(parts.values()), labels))
    for split, part in parts.items():
        notes = [QUOTES_NOTE] if part.quoted else []
        if split == "train" and part.rows and labels[part.rows[0][0]] == 1:
            notes.append(LONE_LABEL_NOTE.format(part.rows[0][0]))
        parse = partial(reader.row, split, part.quoted)
        yield Table(part.path, part.lines, parse, tuple(notes))


def read_part(files: SourceFiles, split: str, keep_quotes: bool) -> Part:
    """Return the Part of ``files`` for a split."""
    path, numbered = files.numbered_lines(f"{split}.tsv")
    lines = list(numbered)
    texts = list(sound(line for _, line in lines))
    quoted = not keep_quotes and has_quoted_fields(texts)
    return Part(path, lines, [fields(text, quoted) for text in texts], quoted)


def sound(lines: Iterable[str]) -> Iterator[str]:
    """Yield the texts of ``lines`` that have one."""
    for line in lines:
        try:
            yield text_of(line)
        except BadRow:
            continue


def has_quoted_fields(texts: Iterable[str]) -> bool:
    """Whether there are quotes in ``texts``, all as spreadsheets set them."""
    with_quotes = [field for text in texts for field in text.split("\t") if '"' in field]
    return bool(with_quotes) and all(map(QUOTED.fullmatch, with_quotes))


def fields(text: str, quoted: bool) -> list[str]:
    """Return the fields of a row, of one whose file has ``quoted`` ones without their quotes."""
    return [unquoted(field) if quoted else field for field in text.split("\t")]


def unquoted(field: str) -> str:
    match = QUOTED.fullmatch(field)
    return match[1].replace('""', '"') if match else field


def header(parts: Sequence[Part], labels: Mapping[str, int]) -> list[str] | None:
    """Return the row that all ``parts`` begin with, whose label no other has; None without one.

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
        label, *sentences = read = fields(text, quoted)
        if read == self._header:
            raise LeftOut(f"a header ({', '.join(read)}; --no-header reads it as data)")
        if self.sentences is None and len(sentences) in (1, 2):
            self.sentences = len(sentences)
        if len(sentences) > (self.sentences or 2):
            raise BadRow("too many columns", len(sentences) + 1)
        if len(sentences) < (self.sentences or 1):
            raise BadRow("missing column", text)
        return Row(split, label, tuple(sentences))
