"""Natural language inference: SNLI (Bowman et al. 2015), MultiNLI (Williams et al. 2018).

Their jsonl files come with parse trees; the words of these are the tokenised sentences.
"""

import json
from collections.abc import Iterator, Mapping
from functools import partial

from fairseq_lstmn.data.corpora.trees import unlabelled_words
from fairseq_lstmn.data.labelled_rows import BadRow, LeftOut, Row, Table
from fairseq_lstmn.data.source_files import SourceFiles

LABELS = ("contradiction", "entailment", "neutral")
SNLI = {
    "train": "snli_1.0_train.jsonl",
    "valid": "snli_1.0_dev.jsonl",
    "test": "snli_1.0_test.jsonl",
}
MNLI = {
    "train": "multinli_1.0_train.jsonl",
    "valid": "multinli_1.0_dev_matched.jsonl",
    "test": "multinli_1.0_dev_mismatched.jsonl",
}


def tables(files: SourceFiles, names: Mapping[str, str]) -> Iterator[Table]:
    """Yield the Tables of ``files``, whose ``names`` are given by split."""
    for split, name in names.items():
        yield Table(*files.numbered_lines(name), partial(row, split))


def row(split: str, text: str) -> Row:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):  # the latter for brackets in brackets without end
        fields = None
    if not isinstance(fields, dict):
        raise BadRow("broken JSON")
    label = field(fields, "gold_label")
    if label == "-":
        raise LeftOut("without a gold label")
    trees = field(fields, "sentence1_binary_parse"), field(fields, "sentence2_binary_parse")
    return Row(split, label, tuple(map(unlabelled_words, trees)))


def field(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise BadRow("missing column", name)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:  # JSON can name halves of characters, which cannot be written
        raise BadRow("not UTF-8 text", value) from None
    return value
