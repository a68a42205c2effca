"""One vector for a sentence: padding has no part in it."""

import math

import torch

from fairseq_lstmn.modules.padding import mean_over_tokens


def test_the_mean_is_over_real_tokens():
    torch.manual_seed(1)
    lengths = torch.tensor([2, 5, 0, 1])
    padding = torch.arange(5) >= lengths.unsqueeze(1)
    states = torch.randn(4, 5, 3).masked_fill(padding.unsqueeze(-1), math.nan).requires_grad_()
    means = mean_over_tokens(states, lengths)
    for row in (0, 1, 3):
        assert torch.allclose(means[row], states[row, : lengths[row]].mean(dim=0))
    assert not means[2].any()
    means.sum().backward()
    expected = (1 / lengths.clamp(min=1)).unsqueeze(1).where(~padding, 0.0).unsqueeze(-1)
    assert torch.equal(states.grad, expected.expand_as(states))


def test_half_precision_stays():
    states = torch.randn(2, 5, 3).half()
    assert mean_over_tokens(states, torch.tensor([3, 5])).dtype == torch.float16
