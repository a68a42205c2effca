"""Rows of unequal length: moved to one side, reversed, averaged.

B batch, S steps, n features. A right-padded row's vectors stand first, a left-padded row's last.
"""

import torch
from torch import Tensor


def to_right_padded(x: Tensor, lengths: Tensor) -> Tensor:
    """Left-padded x (B, S, n) right-padded; what stood at the padding is gone."""
    return pick(x, steps_of(x) + x.size(1) - lengths.unsqueeze(1), lengths)


def to_left_padded(x: Tensor, lengths: Tensor) -> Tensor:
    """Right-padded x (B, S, n) left-padded; the padding is zero."""
    return to_right_padded(x.flip(1), lengths).flip(1)


def reverse(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Right-padded x (B, S, n) with the rows in reversed order, right-padded again."""
    if lengths is None:
        return x.flip(1)
    return pick(x, lengths.unsqueeze(1) - 1 - steps_of(x), lengths)


def steps_of(x: Tensor) -> Tensor:
    return torch.arange(x.size(1), device=x.device)


def pick(x: Tensor, index: Tensor, lengths: Tensor) -> Tensor:
    """x's vectors at ``index`` (B, S), zero behind the rows' ``lengths``."""
    index = index.clamp(0, x.size(1) - 1).unsqueeze(-1).expand_as(x)
    return zero_padding(x.gather(1, index), lengths)


def zero_padding(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Right-padded x (B, S, n), zero behind ``lengths`` (B,), whatever stood there; None: as is."""
    if lengths is None:
        return x
    return x.masked_fill((steps_of(x) >= lengths.unsqueeze(1)).unsqueeze(-1), 0)


def mean_over_tokens(states: Tensor, lengths: Tensor) -> Tensor:
    """The mean (B, n) of right-padded states (B, S, n) over each row's ``lengths`` (B,) tokens.

    A row without tokens gives zero.
    """
    return zero_padding(states, lengths).sum(dim=1) / lengths.clamp(min=1).unsqueeze(1)
