"""Word embeddings, drawn at random or read from a text file of vectors, and their first epoch."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice

import torch
from fairseq import utils
from fairseq.data import Dictionary
from fairseq.models.lstm import Embedding
from fairseq.modules import GradMultiply
from torch import Tensor, nn

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules import vector_files

logger = logging.getLogger(__name__)

ENOUGH = 0.1  # of a dictionary's words with a vector, below which something is likely wrong
SHOWN = 3  # words of the file and of the dictionary

_in_checkpoint = ContextVar("_in_checkpoint", default=False)


@contextmanager
def weights_in_checkpoint() -> Iterator[None]:
    """Models that are built in here get their weights from a checkpoint: no file is read."""
    before = _in_checkpoint.set(True)
    try:
        yield
    finally:
        _in_checkpoint.reset(before)


def build_embedding(
    dictionary: Dictionary,
    embed_dim: int,
    path: str | None = None,
    option: str = "--decoder-embed-path",
    skip_bad: bool = False,
) -> nn.Embedding:
    """An embedding for ``dictionary``, rows of known words taken from the file at ``path``.

    The file has one word and its ``embed_dim`` numbers a line, separated by spaces (GloVe), may
    begin with a line of two counts (word2vec), and may be compressed by gzip. Raises InputError for
    a file that cannot be read, a line of another form (``skip_bad`` leaves these out) or fewer
    lines than counted, naming ``option``, file and line, and for a file without any word of the
    dictionary; warns where it has few of them.
    """
    return embedding_and_rows(dictionary, embed_dim, path, option, skip_bad)[0]


def embedding_and_rows(
    dictionary: Dictionary, embed_dim: int, path: str | None, option: str, skip_bad: bool = False
) -> tuple[nn.Embedding, Tensor]:
    """``build_embedding``, and which of its rows (V,) were taken from the file."""
    embedding: nn.Embedding = Embedding(len(dictionary), embed_dim, dictionary.pad())
    vectors: dict[str, Tensor] = {}
    if path and not _in_checkpoint.get():
        vectors = vector_files.read_vectors(path, dictionary, embed_dim, option, skip_bad)
        check_overlap(vectors, dictionary, path, option)
        utils.load_embedding(vectors, dictionary, embedding)
    return embedding, torch.tensor([word in vectors for word in dictionary.symbols])


def check_overlap(
    vectors: dict[str, Tensor], dictionary: Dictionary, path: str, option: str
) -> None:
    """Log how many words have a vector; warn, with a likely cause, of few, and refuse none."""
    words = dictionary.symbols[dictionary.nspecial :]
    known = sum(word in vectors for word in words)
    overlap = f"{option} {path}: vectors for {known:,} of the dictionary's {len(words):,} words"
    if known >= ENOUGH * len(words):
        logger.info(overlap)
        return
    overlap = f"{overlap}; {likely_cause(words, path)}"
    if known == 0:
        raise InputError(overlap)
    logger.warning(overlap)


def likely_cause(words: list[str], path: str) -> str:
    """Why few of the dictionary's ``words`` have a vector in the file at ``path``."""
    with vector_files.opened(path) as lines:
        in_file = [line.split(" ", 1)[0] for line in lines]
    lowered = {word.lower() for word in in_file}
    close = sum(word.lower() in lowered for word in words)
    if close >= ENOUGH * len(words):
        return f"{close:,} but for the case of letters"
    shown = [" ".join(islice(map(vector_files.readable, side), SHOWN)) for side in (in_file, words)]
    return f"is it of this language and of such tokens? It begins {shown[0]!r}, they {shown[1]!r}"


class WordEmbedding(nn.Module):
    """Word vectors (V, D), some of them pretrained, whose first epoch can go slower.

    Cheng et al. 2016 scale the gradient of pretrained vectors by 0.35 in the first epoch of
    sentiment analysis, and update only the other vectors in that of inference (a scale of 0).

    Args:
        path: file of pretrained vectors, see ``build_embedding``; None for none.
        option: names the path in errors.
        first_epoch_scale: factor on the gradient of pretrained rows in the first epoch.
        unknown_std: rows without a pretrained vector start from N(0, unknown_std^2); None for
            fairseq's uniform +-0.1.
    """

    pretrained: Tensor  # (V,); not in checkpoints, since fairseq averages whatever stands there

    def __init__(
        self,
        dictionary: Dictionary,
        embed_dim: int,
        path: str | None = None,
        option: str = "",
        first_epoch_scale: float = 1.0,
        unknown_std: float | None = None,
        skip_bad_vectors: bool = False,
    ) -> None:
        super().__init__()
        self.embed_tokens, pretrained = embedding_and_rows(
            dictionary, embed_dim, path, option, skip_bad_vectors
        )
        self.register_buffer("pretrained", pretrained, persistent=False)
        if unknown_std is not None:
            draw_unknown(self.embed_tokens, pretrained, unknown_std)
        self.first_epoch_scale = first_epoch_scale
        self.epoch = 1

    def set_epoch(self, epoch: int) -> None:
        """fairseq's hook: the number of the epoch that begins, from 1."""
        self.epoch = epoch

    def upgrade_state_dict_named(self, state_dict: dict[str, Tensor], name: str) -> None:
        """fairseq's hook: take what stood in checkpoints until version 0.2.0 out of one."""
        state_dict.pop(f"{name}.pretrained", None)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T) to vectors (B, T, D)."""
        vectors = self.embed_tokens(tokens)
        if self.first_epoch_scale == 1 or self.epoch > 1 or not self.training:
            return vectors
        slowed = GradMultiply.apply(vectors, self.first_epoch_scale)
        return torch.where(self.pretrained[tokens].unsqueeze(-1), slowed, vectors)


def draw_unknown(embedding: nn.Embedding, pretrained: Tensor, std: float) -> None:
    """Draw the rows of ``embedding`` that are neither pretrained nor padding from N(0, std^2)."""
    unknown = ~pretrained
    unknown[embedding.padding_idx] = False
    with torch.no_grad():
        embedding.weight[unknown] = torch.randn_like(embedding.weight[unknown]) * std
