"""Rows of a label and one or two sentences, separated by tabs."""

from collections.abc import Iterator
from functools import partial

from fairseq_lstmn.data.labelled_rows import BadRow, Row, Table
from fairseq_lstmn.data.source_files import SourceFiles
from fairseq_lstmn.data.whole_folder import SPLITS


def tables(files: SourceFiles) -> Iterator[Table]:
    """Yield the Tables of ``files``."""
    rows = TsvRows()
    for split in SPLITS:
        yield Table(*files.numbered_lines(f"{split}.tsv"), partial(rows.row, split))


class TsvRows:
    """Rows with as many sentences as the first that has one or two."""

    def __init__(self) -> None:
        self.sentences: int | None = None

    def row(self, split: str, text: str) -> Row:
        label, *sentences = text.split("\t")
        if self.sentences is None and len(sentences) in (1, 2):
            self.sentences = len(sentences)
        if len(sentences) > (self.sentences or 2):
            raise BadRow("too many columns", len(sentences) + 1)
        if len(sentences) < (self.sentences or 1):
            raise BadRow("missing column", text)
        return Row(split, label, tuple(sentences))
