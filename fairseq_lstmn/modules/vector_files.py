"""Text files of word vectors as people have them: GloVe's and word2vec's, compressed or not."""

import gzip
import io
import logging
import math
import re
import zlib
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import torch
from torch import Tensor

from fairseq_lstmn.errors import InputError

logger = logging.getLogger(__name__)

GZIP = b"\x1f\x8b"
# what files that are no text of vectors begin with
OTHER_KINDS = {
    rb"PK\x03\x04": "compressed (zip); unpack it",
    rb"BZh\d1AY": "compressed (bzip2); unpack it",
    rb"\xfd7zXZ\x00": "compressed (xz); unpack it",
    rb"\x28\xb5\x2f\xfd": "compressed (zstandard); unpack it",
    rb"\xff\xfe|\xfe\xff": "UTF-16 text; convert it to UTF-8",
    rb"\d+ \d+\n[^\0]*\0": "binary word2vec; convert it to word2vec's text format",
    rb"[^\0]*\0": "binary, not a text file of vectors",
}


class BadLine(ValueError):
    """What is wrong with one line of a file of vectors."""


def read_vectors(
    path: str | Path, words: Container[str], size: int, option: str, skip_bad: bool = False
) -> dict[str, Tensor]:
    """``{word: (size,)}`` for those words of the file at ``path`` that stand in ``words``.

    Raises InputError, naming ``option``, file and line, for what cannot be read, a line of another
    form (with ``skip_bad`` these are left out, with a warning) or fewer lines than counted; warns
    where the last line, and so its last number, may be cut.
    """
    vectors: dict[str, Tensor] = {}
    bad: list[str] = []
    number, line = 0, "\n"
    counted: float | None = None
    try:
        with opened(path) as lines:
            for number, line in enumerate(lines, start=1):
                fields = line.rstrip().split(" ")
                if number == 1 and len(fields) == 2:
                    counted = as_number(fields[0])  # word2vec's counts, of words and numbers
                    continue
                try:
                    word, vector = split_line(fields, size)
                except BadLine as error:
                    if not skip_bad:
                        raise InputError(f"{option} {path}, line {number}: {error}") from None
                    bad.append(f"line {number}: {error}")
                    continue
                if word in words:
                    vectors[word] = torch.tensor(vector)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{option} {path}: cannot be read ({error})") from None
    if counted is not None and number - 1 < counted:
        raise InputError(f"{option} {path}: {number - 1:,} vectors of {counted:,.0f}, cut off")
    if bad:
        logger.warning("%s %s: %d lines left out, the first %s", option, path, len(bad), bad[0])
    if not line.endswith("\n"):
        logger.warning("%s %s: does not end with the end of a line; cut off?", option, path)
    return vectors


@contextmanager
def opened(path: str | Path) -> Iterator[TextIO]:
    """The lines of a text file that gzip may have compressed.

    Bytes that are not UTF-8 are lone surrogates there. Raises OSError for another kind of file.
    """
    with open(path, "rb") as raw:
        compressed = raw.peek(len(GZIP)).startswith(GZIP) or str(path).lower().endswith(".gz")
        with gzip.GzipFile(fileobj=raw) if compressed else raw as content:
            start = content.peek(io.DEFAULT_BUFFER_SIZE)
            for kind, name in OTHER_KINDS.items():
                if re.match(kind, start):
                    raise OSError(name)
            yield io.TextIOWrapper(content, encoding="utf-8-sig", errors="surrogateescape")


def split_line(fields: list[str], size: int) -> tuple[str, list[float]]:
    """The word, which may hold spaces itself (GloVe 840B has some), and its numbers."""
    word = " ".join(fields[:-size])
    if (shown := readable(word)) != word:
        raise BadLine(
            f"'{shown}' is not UTF-8; convert the file, or leave such lines out by"
            " --skip-bad-vectors"
        )
    numbers = [number for field in fields[-size:] if (number := as_number(field)) is not None]
    too_many = len(fields) > size + 1 and as_number(fields[-size - 1]) is not None
    if not word or too_many or len(numbers) < size:
        raise BadLine(f"not a word and {size} numbers")
    return word, numbers


def readable(word: str) -> str:
    r"""``word``, its bytes that are not UTF-8 written as \xff."""
    return word.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def as_number(field: str) -> float | None:
    try:
        number = float(field)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
