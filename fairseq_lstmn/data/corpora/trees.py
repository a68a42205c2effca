"""Corpora that come as bracketed parse trees, whose words are the tokenised sentences.

The Stanford Sentiment Treebank (Socher et al. 2013), whole sentences: labels are 0 (very negative)
to 4 (very positive) or, without the neutral sentences, 0 and 1. Natural language inference: SNLI
(Bowman et al. 2015) and MultiNLI (Williams et al. 2018).
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from fairseq_lstmn.data.labelled_rows import BadRow, LeftOut, Row, Table
from fairseq_lstmn.data.source_files import SourceFiles

SST = {"train": "train.txt", "valid": "dev.txt", "test": "test.txt"}
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
FINE, BINARY = ("0", "1", "2", "3", "4"), ("0", "1")
POLARITY = {"0": "0", "1": "0", "3": "1", "4": "1"}

# the notation of the Penn Treebank
TOKEN = re.compile(r"[()]|[^\s()]+")
BRACKETS = {
    "-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}",
}  # fmt: skip
# Slashes and asterisks stand behind a backslash; a bracket may be a part of a word, as in :-RRB-.
ESCAPE = re.compile(r"-[LR][RSC]B-|\\(?=[/*])")


def tables(
    files: SourceFiles, names: Mapping[str, str], parse: Callable[[str, str], Row]
) -> Iterator[Table]:
    """The Tables of ``files``, whose ``names`` are by split, of rows ``parse(split, line)``."""
    for split, name in names.items():
        yield Table(*files.numbered_lines(name), partial(parse, split))


def fine_row(split: str, text: str) -> Row:
    label, words = label_and_words(text)
    return Row(split, label, (words,))


def binary_row(split: str, text: str) -> Row:
    row = fine_row(split, text)
    if row.label == "2":
        raise LeftOut("neutral")
    return row._replace(label=POLARITY.get(row.label, row.label))


def pair_row(split: str, text: str) -> Row:
    """The row of a line of jsonl."""
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


def unlabelled_words(tree: str) -> str:
    """The sentence of a tree whose nodes have no labels: ( ( A man ) sleeps )."""
    tokens = TOKEN.findall(tree)
    check_balance(tokens)
    return sentence(token for token in tokens if token not in "()")


def label_and_words(tree: str) -> tuple[str, str]:
    """The root's label and the sentence of a tree with labels: (3 (2 It) (4 works))."""
    tokens = TOKEN.findall(tree)
    if tokens[:1] + tokens[-1:] != ["(", ")"]:
        raise BadRow("unbalanced tree")
    inside = tokens[1:-1]
    check_balance(inside)
    after_label = zip(inside, inside[1:])
    words = (token for last, token in after_label if last != "(" and token not in "()")
    return "".join(inside[:1]), sentence(words)


def check_balance(tokens: Iterable[str]) -> None:
    depth = 0
    for token in tokens:
        depth += (token == "(") - (token == ")")
        if depth < 0:
            break
    if depth:
        raise BadRow("unbalanced tree")


def sentence(words: Iterable[str]) -> str:
    """The words with what the treebank's notation escapes in them as it was written."""
    return ESCAPE.sub(lambda match: BRACKETS.get(match[0], ""), " ".join(words))
