"""The Stanford Sentiment Treebank (Socher et al. 2013), whole sentences.

Labels are 0 (very negative) to 4 (very positive) or, without the neutral sentences, 0 and 1.
"""

from collections.abc import Callable, Iterator
from functools import partial

from fairseq_lstmn.data.corpora.trees import label_and_words
from fairseq_lstmn.data.labelled_rows import LeftOut, Row, Table
from fairseq_lstmn.data.source_files import SourceFiles

FINE, BINARY = ("0", "1", "2", "3", "4"), ("0", "1")
FILES = {"train": "train.txt", "valid": "dev.txt", "test": "test.txt"}
POLARITY = {"0": "0", "1": "0", "3": "1", "4": "1"}


def fine_tables(files: SourceFiles) -> Iterator[Table]:
    """Yield the Tables of ``files`` with five labels."""
    for split, name in FILES.items():
        yield Table(*files.numbered_lines(name), partial(fine_row, split))


def binary_tables(files: SourceFiles) -> Iterator[Table]:
    """Yield the Tables of ``files`` with two labels."""
    for table in fine_tables(files):
        yield table._replace(parse=partial(binary_row, table.parse))


def fine_row(split: str, text: str) -> Row:
    label, words = label_and_words(text)
    return Row(split, label, (words,))


def binary_row(fine_row: Callable[[str], Row], text: str) -> Row:
    row = fine_row(text)
    if row.label == "2":
        raise LeftOut("neutral")
    return row._replace(label=POLARITY.get(row.label, row.label))
