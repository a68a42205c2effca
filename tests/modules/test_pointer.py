"""The mixture of what the output layer says with the words on the tape."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from fairseq_lstmn.modules.output_layer import Pointer
from tests.ops.test_memory import Allocations

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
    """Nor is the gate's share of it lost."""
    actual = pointer(SCORES, FEATURES, ATTENTION, WORDS)[0, 0]
    assert torch.allclose(actual, SCORES[0, 0].log_softmax(dim=0))


def mixed(pointer, scores, features, attention, words):
    """The mixture as it is written down, over all words."""
    share = pointer.gate(features).sigmoid()
    copied = torch.zeros_like(scores)
    for b, t, i in torch.cartesian_prod(*map(torch.arange, attention.shape)).tolist():
        word = F.one_hot(words[b, i - attention.size(2)], scores.size(2))
        copied[b, t] = copied[b, t] + attention[b, t, i] * word
    return (share * scores.softmax(dim=2) + (1 - share) * copied).log()


def test_it_is_the_mixture_with_its_gradients():
    """Words that stand on the tape several times, in slots of which not all are attended."""
    torch.manual_seed(1)
    pointer = Pointer(3).double()
    words = torch.tensor([[4, 0, 1, 1, 2, 1, 0], [4, 3, 3, 3, 3, 3, 3]])
    attention = torch.randn(2, 4, 6, dtype=torch.double).mul(2).softmax(dim=2)
    attention[:, :, 2] = 0
    attention /= attention.sum(dim=2, keepdim=True)
    parts = [torch.randn(2, 4, size, dtype=torch.double) * 3 for size in (5, 3)]
    parts = [part.requires_grad_() for part in (*parts, attention)]
    leaves = [*parts, *pointer.parameters()]
    computed = []
    for compute in pointer, partial(mixed, pointer):
        result = compute(*parts, words)
        cotangent = torch.arange(result.numel()).view_as(result).sin()
        computed.append([result, *torch.autograd.grad((result * cotangent).sum(), leaves)])
    for actual, expected in zip(*computed, strict=True):
        torch.testing.assert_close(actual, expected)
    assert torch.allclose(computed[0][0].exp().sum(dim=2), torch.ones(()).double())


def test_a_word_that_only_the_tape_says(pointer):
    """Its slots are counted once, however unlikely the output layer has it."""
    scores = torch.tensor([[[1000.0, 0, 0, 0]]])
    words, attention = torch.tensor([[1, 1, 1]]), torch.tensor([[[0.5, 0.25, 0.25]]])
    features = FEATURES[:, 1:]
    expected = (-pointer.gate(features)).sigmoid().item()
    actual = pointer(scores, features, attention, words).exp()
    assert actual[0, 0].tolist() == pytest.approx([1 - expected, expected, 0, 0], rel=1e-4)


def test_scores_of_all_words_are_made_few_times(pointer):
    """With 200,000 words each of them is what the rest of a small model is."""
    batch, steps, vocabulary = 2, 8, 5000
    scores = torch.randn(batch, steps, vocabulary).requires_grad_()
    words = torch.randint(vocabulary, (batch, steps))
    attention = torch.rand(batch, steps, steps).softmax(dim=2).requires_grad_()
    features = torch.randn(batch, steps, 2)
    with Allocations([scores]) as allocations:
        pointer(scores, features, attention, words)[..., 0].sum().backward()
    # measured: 4.0, of which the log-softmax alone needs 3; 11 as the mixture is written down
    assert allocations.peak <= 4.5 * scores.nbytes


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
