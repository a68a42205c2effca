"""SICK (Marelli et al. 2014), its entailment labels.

The corpus is one file whose column SemEval_set tells the split, or three files, as SemEval 2014
had it. It is not tokenised.
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial

from fairseq_lstmn.data.labelled_rows import BadRow, Row, Table, text_of
from fairseq_lstmn.data.source_files import SourceFiles
from fairseq_lstmn.errors import InputError

WHOLE = "SICK.txt"
BY_SPLIT = {
    "train": "SICK_train.txt",
    "valid": "SICK_trial.txt",
    "test": "SICK_test_annotated.txt",
}
SPLIT_OF_SET = {"TRAIN": "train", "TRIAL": "valid", "TEST": "test"}
LABEL_COLUMNS = "entailment_label", "entailment_judgment"  # of the one file, of the three
# as in the Penn Treebank: is n't, man 's, but t-shirt
WORD = re.compile(r"\w+(?=n't)|n't|'\w+|[\w-]+|[^\w\s]", re.IGNORECASE)


def tables(files: SourceFiles) -> Iterator[Table]:
    """Yield the Tables of ``files``."""
    if files.has(WHOLE):
        yield table(files, WHOLE)
        return
    for split, name in BY_SPLIT.items():
        yield table(files, name, split)


def table(files: SourceFiles, name: str, split: str | None = None) -> Table:
    """Return the Table of a file, of one split or with a column that tells it."""
    path, lines = files.numbered_lines(name)
    columns = read_header(path, lines)
    label = next(filter(columns.__contains__, LABEL_COLUMNS), LABEL_COLUMNS[0])
    wanted = ["sentence_A", "sentence_B", label] + ([] if split else ["SemEval_set"])
    for column in wanted:
        if column not in columns:
            raise InputError(f"{path}: its header has no column {column}")
    return Table(path, lines, partial(row, columns, wanted, split))


def read_header(path: str, lines: Iterator[tuple[int, str]]) -> list[str]:
    """Take the first of the numbered ``lines`` and return its columns."""
    _, header = next(lines, (1, ""))
    try:
        return text_of(header).split("\t")
    except BadRow as error:
        raise InputError(f"{path}: has no header ({error})") from None


def row(columns: Sequence[str], wanted: Sequence[str], split: str | None, text: str) -> Row:
    fields = dict(zip(columns, text.split("\t")))
    for column in wanted:
        if column not in fields:
            raise BadRow("missing column", column)
    first, second, label, *semeval_set = (fields[column] for column in wanted)
    pair = tokenised(first), tokenised(second)
    return Row(split or split_of(*semeval_set), label.lower(), pair)


def split_of(semeval_set: str) -> str:
    if semeval_set not in SPLIT_OF_SET:
        raise BadRow("unknown SemEval_set", semeval_set)
    return SPLIT_OF_SET[semeval_set]


def tokenised(sentence: str) -> str:
    return " ".join(WORD.findall(sentence))
