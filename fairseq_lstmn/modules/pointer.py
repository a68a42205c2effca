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
    l_t = sigmoid of a linear map of the features.

    Args:
        size: O.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gate = nn.Linear(size, 1)
        nn.init.constant_(self.gate.bias, GATE_BIAS)

    def forward(self, scores: Tensor, features: Tensor, attention: Tensor, words: Tensor) -> Tensor:
        """Log-probabilities (B, T, V), float32 or above.

        Args:
            scores (B, T, V): of the output layer.
            features (B, T, O): what it read.
            attention (B, T, n): s of (5).
            words (B, at least n), below V: the latest of them stand in the slots.
        """
        precision = torch.promote_types(scores.dtype, torch.float32)
        gate = self.gate(features).to(precision)
        said = scores.log_softmax(dim=-1, dtype=precision)
        words = words[:, -attention.size(2) :].unsqueeze(1).expand_as(attention)
        copied = torch.zeros_like(said).scatter_add(2, words, attention.to(precision))
        # where nothing is copied the logarithm's derivative must be finite
        copied = copied.clamp(min=torch.finfo(precision).tiny).log()
        return torch.logaddexp(said + F.logsigmoid(gate), copied + F.logsigmoid(-gate))
