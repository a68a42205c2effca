"""The mixture of what the output layer says with the words on the tape."""

import pytest
import torch

from fairseq_lstmn.modules.pointer import Pointer

# B 1, T 2, n 3, O 2, V 4
SCORES = torch.tensor([[[1.0, 2, 0, 1], [0, 0, 3, 1]]])
FEATURES = torch.tensor([[[1.0, -1], [0.5, 2]]])
ATTENTION = torch.tensor([[[0.0, 0, 0], [0.25, 0.75, 0]]])
WORDS = torch.tensor([[3, 1, 1, 2]])  # the first stands on the tape no more


@pytest.fixture
def pointer():
    torch.manual_seed(0)
    return Pointer(2)


def test_words_get_what_their_slots_get(pointer):
    share = pointer.gate(FEATURES)[0, 1].sigmoid()
    said = SCORES[0, 1].softmax(dim=0)
    expected = share * said + (1 - share) * torch.tensor([0, 1.0, 0, 0])
    actual = pointer(SCORES, FEATURES, ATTENTION, WORDS)[0, 1].exp()
    assert torch.allclose(actual, expected)


def test_an_empty_tape_copies_nothing(pointer):
    share = pointer.gate(FEATURES)[0, 0].sigmoid()
    actual = pointer(SCORES, FEATURES, ATTENTION, WORDS)[0, 0].exp()
    assert torch.allclose(actual, share * SCORES[0, 0].softmax(dim=0))


def test_a_derivative_is_finite_where_nothing_is_attended(pointer):
    attention = ATTENTION.clone().requires_grad_()
    pointer(SCORES * 1000, FEATURES, attention, WORDS)[..., 2].sum().backward()
    assert attention.grad.isfinite().all()
    assert attention.grad[0, 1].tolist()[2] == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_half_precision_is_mixed_in_single(pointer, dtype):
    arguments = SCORES.to(dtype), FEATURES.to(dtype), ATTENTION.to(dtype), WORDS
    actual = pointer.to(dtype)(*arguments)
    assert actual.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    # what the gate's own weights lose: 2^-9 of about 1
    assert torch.allclose(actual[0, 1].exp().sum().float(), torch.tensor(1.0), atol=4e-3)
