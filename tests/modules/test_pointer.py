"""The mixture of what the output layer says with the words on the tape."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from fairseq_lstmn.modules.output_layer import Pointer, StateAttention
from fairseq_lstmn.ops import Tape
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


def attended(attention, states, span):
    """What ``StateAttention`` computes of states (B, n, H), word by word."""
    weights = torch.zeros(len(states), states.size(1), states.size(1), dtype=states.dtype)
    for b, row in enumerate(states):
        for t, state in enumerate(row):
            query = torch.tanh(attention.query.weight @ state + attention.query.bias)
            slots = row[max(0, t + 1 - span) : t + 1]
            weights[b, t, t + 1 - len(slots) : t + 1] = (slots @ query).softmax(dim=0)
    return weights


@pytest.mark.parametrize("span", [0, 1, 3])
@pytest.mark.parametrize("carried", [0, 2, 5])
def test_states_are_attended_up_to_the_own_one(span, carried):
    """With gradients, behind ``carried`` states that stood there before."""
    torch.manual_seed(2)
    attention = StateAttention(4, memory_span=span).double()
    states = torch.randn(2, 7, 4, dtype=torch.double).mul(3).requires_grad_()
    leaves = [states, *attention.parameters()]
    before = attention(states[:, :carried])[1] if carried else None
    computed = []
    actual = attention(states[:, carried:], before)[0].tape
    slots = 7 - carried + min(carried, span or 7)
    for weights in (actual, attended(attention, states, span or 7)[:, carried:, -slots:]):
        cotangent = torch.arange(weights.numel()).view_as(weights).sin()
        computed.append([weights, *torch.autograd.grad((weights * cotangent).sum(), leaves)])
    for actual, expected in zip(*computed, strict=True):
        torch.testing.assert_close(actual, expected)


def test_padded_steps_attend_nothing_and_nobody_attends_them():
    torch.manual_seed(3)
    attention, states = StateAttention(4), torch.randn(2, 5, 4)
    alone, _ = attention(states[1:, :3])
    states[1, 3:] = torch.nan
    weights = attention(states, lengths=torch.tensor([5, 3]))[0].tape
    torch.testing.assert_close(weights[1:, :3, :3], alone.tape)
    assert not weights[1, 3:].any() and not weights[1, :, 3:].any()
    torch.testing.assert_close(weights[0], attention(states[:1])[0].tape[0])


def test_states_of_another_precision_are_gone_on_from():
    """As a training in half precision does that another began."""
    tape = Tape(torch.randn(2, 3, 4), torch.empty(2, 3, 0))
    attention = StateAttention(4).to(torch.bfloat16)
    weights, after = attention(torch.randn(2, 2, 4, dtype=torch.bfloat16), tape)
    assert weights.tape.dtype == torch.float32 and after.hidden.dtype == torch.bfloat16
    torch.testing.assert_close(weights.tape.sum(dim=2), torch.ones(2, 2))
