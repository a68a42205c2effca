"""One vector for a sentence.

B batch, T steps, H hidden width.
"""

from torch import Tensor

from fairseq_lstmn.modules.padding import zero_padding


def mean_over_tokens(states: Tensor, lengths: Tensor) -> Tensor:
    """The mean (B, H) of right-padded states (B, T, H) over each row's real tokens.

    ``lengths`` is (B,). A row without tokens gives zero.
    """
    return zero_padding(states, lengths).sum(dim=1) / lengths.clamp(min=1).unsqueeze(1)
