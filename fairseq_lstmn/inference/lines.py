"""Lines of text as a trained model reads them."""

import sys
from collections.abc import Callable, Container, Iterable, Sequence
from typing import BinaryIO, NamedTuple, TypeVar

from fairseq.data import Dictionary
from fairseq.tokenizer import tokenize_line
from torch import Tensor

from fairseq_lstmn.data.data_folder import RESERVED, Normalisation
from fairseq_lstmn.errors import InputError

MOST_UNKNOWN = 0.1  # share of words, before there is something to say

Row = TypeVar("Row")


class BadLine(Exception):
    """What is wrong with one line of the input."""


class Sentence(NamedTuple):
    """The words as they are written, and their numbers with that of the end of the sentence."""

    words: list[str]
    tokens: Tensor  # (len(words) + 1,)


class UnknownWords:
    """Counts words, those unknown, and those that would be in lower case."""

    def __init__(self) -> None:
        self.words = self.unknown = self.unknown_in_lower_case = 0

    def count(self, words: Sequence[str], dictionary: Container[str]) -> None:
        """Add ``words``, as a ``dictionary`` has them."""
        unknown = [word for word in words if word not in dictionary and word != "<unk>"]
        self.words += len(words)
        self.unknown += len(unknown)
        self.unknown_in_lower_case += sum(word.lower() not in dictionary for word in unknown)

    def warning(self, checkpoint: str) -> str | None:
        """One line, where many words are unknown; else None."""
        if self.unknown <= MOST_UNKNOWN * self.words:
            return None
        known = self.unknown - self.unknown_in_lower_case
        return (
            f"{checkpoint}: {self.unknown:,} of {self.words:,} words are unknown to it, of which "
            f"{known:,} would be known in lower case; nothing records how its text was normalised"
        )


class LineReader:
    """Makes sentences of lines, and counts the words that the model does not know.

    Args:
        normalisation: the training text's ``Normalisation``; None reads text as it is, and counts.
    """

    def __init__(self, normalisation: Normalisation | None) -> None:
        self.normalisation = normalisation
        self.unknown = UnknownWords()

    def fields(self, line: bytes) -> list[str]:
        """The texts of a line (bytes) that TAB separates. Raises BadLine."""
        try:
            texts = line.decode("utf-8-sig").rstrip("\r\n").split("\t")
        except UnicodeDecodeError:
            raise BadLine("not UTF-8 text") from None
        if not all(text.strip() for text in texts):
            raise BadLine("empty sentence")
        if any("\r" in text for text in texts):
            raise BadLine("a carriage return within the line")
        return texts

    def sentence(self, text: str, dictionary: Dictionary) -> Sentence:
        """The ``Sentence`` of a text. Raises BadLine for words that fairseq adds by itself."""
        written = tokenize_line(text)
        if self.normalisation is None:
            self.unknown.count(written, dictionary)
        else:
            text = self.normalisation(text)
        for word in RESERVED.intersection(text.split()):
            raise BadLine(f"{word} is a mark that fairseq adds by itself")
        return Sentence(written, dictionary.encode_line(text, add_if_not_exist=False).long())


def encode_lines(
    lines: Iterable[bytes], encode: Callable[[bytes], Row]
) -> tuple[dict[int, Row], dict[int, str]]:
    """What ``encode`` makes of lines, by their number from 0, and what is wrong with the bad."""
    rows: dict[int, Row] = {}
    errors: dict[int, str] = {}
    for number, line in enumerate(lines):
        try:
            rows[number] = encode(line)
        except BadLine as error:
            errors[number] = str(error)
    return rows, errors


def open_lines(path: str) -> BinaryIO:
    """The lines (bytes) of a file or, for "-", of standard input, to be closed."""
    if path == "-":
        return sys.stdin.buffer
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
