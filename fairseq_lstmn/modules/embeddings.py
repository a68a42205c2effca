"""Word embeddings, drawn at random or read from a text file of vectors."""

import gzip
import logging
import math
import zlib
from pathlib import Path

import torch
from fairseq import utils
from fairseq.data import Dictionary
from fairseq.models.lstm import Embedding
from torch import Tensor, nn

from fairseq_lstmn.errors import InputError

logger = logging.getLogger(__name__)


def build_embedding(
    dictionary: Dictionary,
    embed_dim: int,
    path: str | None = None,
    option: str = "--decoder-embed-path",
) -> nn.Embedding:
    """An embedding for ``dictionary``, rows of known words taken from the file at ``path``.

    The file has one word and its ``embed_dim`` numbers a line, separated by spaces (GloVe), may
    begin with a line of two counts (word2vec), and is compressed if its name ends in .gz. Raises
    InputError for a file that cannot be read, a line of another form or fewer lines than counted,
    naming ``option``, file and line; warns where the last line, and so its last number, may be cut.
    """
    return embedding_and_rows(dictionary, embed_dim, path, option)[0]


def embedding_and_rows(
    dictionary: Dictionary, embed_dim: int, path: str | None, option: str
) -> tuple[nn.Embedding, Tensor]:
    """``build_embedding``, and which of its rows (V,) were taken from the file."""
    embedding: nn.Embedding = Embedding(len(dictionary), embed_dim, dictionary.pad())
    vectors: dict[str, Tensor] = {}
    if path:
        vectors = read_vectors(path, dictionary, embed_dim, option)
        utils.print_embed_overlap(vectors, dictionary)
        utils.load_embedding(vectors, dictionary, embedding)
    return embedding, torch.tensor([word in vectors for word in dictionary.symbols])


def read_vectors(
    path: str | Path, dictionary: Dictionary, embed_dim: int, option: str
) -> dict[str, Tensor]:
    """``{word: (embed_dim,)}`` for those words of the file that stand in ``dictionary``."""
    vectors: dict[str, Tensor] = {}
    number, line = 0, "\n"
    counted: float | None = None
    try:
        opened = gzip.open if str(path).endswith(".gz") else open
        with opened(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                fields = line.rstrip().split(" ")
                if number == 1 and len(fields) == 2:
                    counted = as_number(fields[0])  # word2vec's counts, of words and numbers
                    continue
                word, vector = split_line(fields, embed_dim)
                if vector is None:
                    raise InputError(
                        f"{option} {path}, line {number}: not a word and {embed_dim} numbers"
                    )
                if word in dictionary:
                    vectors[word] = torch.tensor(vector)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{option} {path}: cannot be read ({error})") from None
    if counted is not None and number - 1 < counted:
        raise InputError(f"{option} {path}: {number - 1:,} vectors of {counted:,.0f}, cut off")
    if not line.endswith("\n"):
        logger.warning("%s %s: does not end with the end of a line; cut off?", option, path)
    return vectors


def split_line(fields: list[str], embed_dim: int) -> tuple[str, list[float] | None]:
    """The word, which may hold spaces itself (GloVe 840B has some), and its numbers or None."""
    word, found = fields[:-embed_dim], [as_number(field) for field in fields[-embed_dim:]]
    numbers = [number for number in found if number is not None]
    too_many = len(word) > 1 and as_number(word[-1]) is not None
    if not word or too_many or len(numbers) < len(found):
        return " ".join(word), None
    return " ".join(word), numbers


def as_number(field: str) -> float | None:
    try:
        number = float(field)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
