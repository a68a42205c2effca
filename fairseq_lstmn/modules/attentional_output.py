"""What a decoder predicts from beside its state: the context that it has read.

B batch, T steps, H hidden width.
"""

import torch
from fairseq.models.lstm import Linear
from torch import Tensor, nn


class AttentionalOutput(nn.Module):
    """tanh(W [g~_t; h_t]), as in fairseq's LSTM decoder (Luong et al. 2015, equation 5).

    Cheng et al. 2016 do not say what a decoder predicts from; from h_t alone, training finds
    the alignment later (Multi30k in examples/translation/README.md).
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.join = Linear(2 * hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, T, H) of states x and contexts g~_t, (B, T, H) each."""
        joined: Tensor = self.join(torch.cat([context, x], dim=-1))
        return joined.tanh()
