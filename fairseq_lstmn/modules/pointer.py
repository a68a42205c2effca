"""Words on the tape as the next one.

B batch, T steps, n slots, O features, V vocabulary.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GATE_BIAS = 1.0  # 73% of what is said is the output layer's at first


class Pointer(nn.Module):
    """The mixture of Merity et al. 2017, with the tape's attention for the pointer's.

    p(w) = l_t softmax(scores_t)_w + (1 - l_t) sum of s_i^t over the slots i with the word w,
    l_t = sigmoid of a linear map of the features, or 1 where no slot is attended.

    Args:
        size: O.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gate = nn.Linear(size, 1)
        nn.init.constant_(self.gate.bias, GATE_BIAS)

    def forward(self, scores: Tensor, features: Tensor, attention: Tensor, words: Tensor) -> Tensor:
        """Log-probabilities (B, T, V), float32 or above, whose exponentials sum to 1.

        Args:
            scores (B, T, V): of the output layer.
            features (B, T, O): what it read.
            attention (B, T, n): s of (5).
            words (B, at least n), below V: the latest of them stand in the slots.
        """
        precision = torch.promote_types(scores.dtype, torch.float32)
        gate = self.gate(features).to(precision)
        attention = attention.to(precision)
        words = words[:, words.size(1) - attention.size(2) :]
        said = scores.log_softmax(dim=-1, dtype=precision)
        copied, is_chosen = by_word(attention, words, scores.size(2))
        # log l_t + said, and of words on the tape this more: each further (B, T, V) would cost as
        # much as the output layer's
        words = words.unsqueeze(1).expand_as(attention)
        more = -F.logsigmoid(gate + said.gather(2, words) - copied.log())
        is_empty = attention.sum(dim=2, keepdim=True) == 0
        share = F.logsigmoid(gate).masked_fill(is_empty, 0)
        return (said + share).scatter_add_(2, words, more.masked_fill(~is_chosen, 0))


def by_word(attention: Tensor, words: Tensor, vocabulary: int) -> tuple[Tensor, Tensor]:
    """What all slots of a word have together (B, T, n), above 0, at the one chosen among them.

    Which those are, (B, 1, n), comes with it. ``attention`` (B, T, n), ``words`` (B, n) below V.
    """
    slots = torch.arange(words.size(1), device=words.device).expand_as(words)
    chosen = words.new_empty(words.size(0), vocabulary).scatter_(1, words, slots).gather(1, words)
    index = chosen.unsqueeze(1).expand_as(attention)
    together = torch.zeros_like(attention).scatter_add_(2, index, attention)
    # where nothing is copied the logarithm's derivative must be finite
    tiny = torch.finfo(attention.dtype).tiny
    return together.clamp(min=tiny), (chosen == slots).unsqueeze(1)
