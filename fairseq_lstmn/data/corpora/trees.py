"""Words of bracketed parse trees in the notation of the Penn Treebank."""

import re
from collections.abc import Iterable

from fairseq_lstmn.data.labelled_rows import BadRow

TOKEN = re.compile(r"[()]|[^\s()]+")
BRACKETS = {
    "-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}",
}  # fmt: skip
# Slashes and asterisks stand behind a backslash; a bracket may be a part of a word, as in :-RRB-.
ESCAPE = re.compile(r"-[LR][RSC]B-|\\(?=[/*])")


def unlabelled_words(tree: str) -> str:
    """Return the sentence of a tree whose nodes have no labels: ( ( A man ) sleeps )."""
    tokens = TOKEN.findall(tree)
    check_balance(tokens)
    return sentence(token for token in tokens if token not in "()")


def label_and_words(tree: str) -> tuple[str, str]:
    """Return the root's label and the sentence of a tree with labels: (3 (2 It) (4 works))."""
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
    """Return the words with what the treebank's notation escapes in them as it was written."""
    return ESCAPE.sub(lambda match: BRACKETS.get(match[0], ""), " ".join(words))
