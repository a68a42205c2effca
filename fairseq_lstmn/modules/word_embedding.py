"""Embeddings of which some rows are pretrained, and their first epoch."""

import torch
from fairseq.data import Dictionary
from fairseq.modules import GradMultiply
from torch import Tensor, nn

from fairseq_lstmn.modules.embeddings import embedding_and_rows


class WordEmbedding(nn.Module):
    """Word vectors (V, D), some of them pretrained, whose first epoch can go slower.

    Cheng et al. 2016 scale the gradient of pretrained vectors by 0.35 in the first epoch of
    sentiment analysis, and update only the other vectors in that of inference (a scale of 0).

    Args:
        dictionary: fairseq's Dictionary, V types.
        embed_dim: D.
        path: file of pretrained vectors, see ``embeddings.build_embedding``; None for none.
        option: what names the path in errors.
        first_epoch_scale: factor on the gradient of pretrained rows in the first epoch.
        unknown_std: rows without a pretrained vector start from N(0, unknown_std^2); None for
            fairseq's uniform +-0.1.
        skip_bad_vectors: leave out lines of the file that cannot be read.
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
        vectors: Tensor = self.embed_tokens(tokens)
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
