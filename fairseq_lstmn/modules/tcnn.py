"""T-CNN: low-rank tensor features of non-consecutive n-grams (Lei, Barzilay & Jaakkola 2015).

B batch, T steps, D input width, H hidden width, r rank.
"""

import math

import torch
from fairseq.modules import FairseqDropout
from torch import Tensor, nn

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.padding import zero_padding

BIAS_INIT = 0.01  # as in the authors' program


class TCNNLayer(nn.Module):
    """z_k, the sum over all n-grams that end at step k, adjacent or not, n = 1 .. ``order``.

    The trigram of i < j < k adds O'(P x_i * Q x_j * R x_k), discounted by decay^(k - i - 2); the
    bigram of j < k adds O'(P x_j * Q x_k), discounted by decay^(k - j - 1); the word adds
    O' P x_k. O has a bias, P, Q and R have none. As in the authors' program a matrix starts
    uniform within sqrt(3 / its output's width) of 0, and the bias at 0.01.

    Args:
        input_size: D.
        hidden_size: H.
        rank: r, the width of P x, Q x and R x.
        decay: from 0, adjacent n-grams only, to below 1.
        order: the longest n-gram; each has a matrix of its own for its last word.

    Raises InputError for another decay.
    """

    def __init__(
        self, input_size: int, hidden_size: int, rank: int, decay: float = 0.5, order: int = 3
    ) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise InputError(f"--tcnn-decay {decay}: must be at least 0 and below 1")
        self.decay, self.order = decay, order
        self.factors = nn.Linear(input_size, order * rank, bias=False)  # P, Q, R
        self.output = nn.Linear(rank, hidden_size)  # O and its bias
        for weight, width in ((self.factors.weight, rank), (self.output.weight, hidden_size)):
            nn.init.uniform_(weight, -math.sqrt(3 / width), math.sqrt(3 / width))
        nn.init.constant_(self.output.bias, BIAS_INIT)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """z (B, T, H) of x (B, T, D), right-padded to ``lengths`` (B,) or None; zero at padding."""
        unigram, *last_words = self.factors(zero_padding(x, lengths)).chunk(self.order, dim=-1)
        before = discounts(self.decay, unigram)
        ngram = features = unigram
        for last_word in last_words:
            ngram = (before @ ngram) * last_word
            features = features + ngram
        return zero_padding(self.output(features), lengths)


def discounts(decay: float, features: Tensor) -> Tensor:
    """(T, T), decay^(k - j - 1) in row k, column j < k, else 0, for features (B, T, r).

    Times f it is the recurrence's s_{k-1}, s_k = decay s_{k-1} + f_k, at all steps at once.
    """
    steps = torch.arange(features.size(1), device=features.device)
    between = steps.unsqueeze(1) - steps - 1
    return (decay ** between.clamp(min=0).double()).masked_fill(between < 0, 0).to(features.dtype)


class TCNN(nn.Module):
    """Layers of ``TCNNLayer`` with r = H, each on the ReLU of the one below.

    Dropout is between layers.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        layers: int = 3,
        decay: float = 0.5,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        widths = [input_size] + [hidden_size] * (layers - 1)
        self.layers = nn.ModuleList(
            TCNNLayer(width, hidden_size, hidden_size, decay) for width in widths
        )
        self.output_size = layers * hidden_size
        self.dropout = FairseqDropout(dropout, module_name=self.__class__.__name__)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """All layers' ReLU(z), (B, T, layers * H), the lowest first, zero at padding.

        x is (B, T, D), right-padded to ``lengths`` (B,) or None.
        """
        features: list[Tensor] = []
        for layer in self.layers:
            x = layer(self.dropout(x) if features else x, lengths).relu()
            features.append(x)
        return torch.cat(features, dim=-1)
