"""Lines of text as a trained model reads them."""

import sys
from typing import BinaryIO, NamedTuple

from fairseq.data import Dictionary
from fairseq.tokenizer import tokenize_line
from torch import Tensor

from fairseq_lstmn.data.data_folder import RESERVED, Normalisation
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.inference.unknown import UnknownWords


class BadLine(Exception):
    """What is wrong with one line of the input."""


class Sentence(NamedTuple):
    """The words as they are written, and their numbers with that of the end of the sentence."""

    words: list[str]
    tokens: Tensor  # (len(words) + 1,)


class LineReader:
    """Makes sentences of lines, and counts the words that the model does not know.

    Args:
        normalisation: the training text's ``Normalisation``; None reads text as it is.
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


def opened(path: str) -> BinaryIO:
    """The lines (bytes) of a file or, for "-", of standard input, to be closed."""
    if path == "-":
        return sys.stdin.buffer
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
