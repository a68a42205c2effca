"""The neural cache: against plain Python, in pieces, and what has left it."""

import math

import pytest
import torch

from fairseq_lstmn.modules.neural_cache import AT_A_TIME, NeuralCache, mixed

THETAS = [0.0, 0.3, 2.0]


def some_text(words, types=7, width=5):
    """Features (M, O), words (M,) and their logarithms by a model (M,)."""
    draw = torch.Generator().manual_seed(words)
    features = torch.randn(words, width, generator=draw)
    return (
        features,
        torch.randint(types, (words,), generator=draw),
        -torch.rand(words, generator=draw),
    )


def by_hand(slots, features, words, plain, theta):
    """log p_cache of each word, one at a time."""
    states, words, logs = features.tolist(), words.tolist(), []
    for t, word in enumerate(words):
        weights = [
            (words[i], math.exp(theta * sum(a * b for a, b in zip(states[t], states[i]))))
            for i in range(max(0, t - slots), t)
        ]
        share = sum(weight for other, weight in weights if other == word)
        if not weights:
            logs.append(float(plain[t]))
        else:
            logs.append(math.log(share / sum(w for _, w in weights)) if share else -math.inf)
    return torch.tensor(logs)


@pytest.mark.parametrize("slots", [1, 6, 1000])
@pytest.mark.parametrize("pieces", [(40,), (1, 1, 30, 8), (AT_A_TIME + 44,)], ids=str)
def test_says_what_the_equation_says(slots, pieces):
    text = some_text(sum(pieces))
    cache = NeuralCache(slots)
    parts = zip(*(part.split(list(pieces)) for part in text))
    cached = torch.cat([cache.log_probabilities(*part, THETAS) for part in parts], dim=1)
    for theta, logs in zip(THETAS, cached):
        torch.testing.assert_close(logs, by_hand(slots, *text, theta), rtol=1e-5, atol=1e-5)


def test_a_word_leaves_when_as_many_others_have_come():
    features, words = torch.ones(6, 2), torch.tensor([4, 0, 1, 2, 3, 4])
    last = {
        slots: NeuralCache(slots).log_probabilities(features, words, torch.zeros(6), [1.0])[0, -1]
        for slots in (4, 5)
    }
    assert last[4] == -math.inf  # it stands five words ago
    assert last[5].exp() == pytest.approx(1 / 5)


def test_another_text_finds_nothing_of_the_one_before():
    cache, text = NeuralCache(9), some_text(20)
    first = cache.log_probabilities(*text, THETAS)
    assert not torch.equal(cache.log_probabilities(*text, THETAS), first)
    cache.clear()
    assert torch.equal(cache.log_probabilities(*text, THETAS), first)


def test_similarities_that_no_exponential_holds():
    features, words, plain = some_text(30)
    cached = NeuralCache(9).log_probabilities(100 * features.half(), words, plain, [5.0])
    assert cached.dtype == torch.float32 and not cached.isnan().any() and (cached <= 1e-4).all()


def test_the_mixture():
    plain, cached = torch.tensor([0.5, 0.1]).log(), torch.tensor([0.25, 0.0]).log()
    torch.testing.assert_close(mixed(plain, cached, 0.2).exp(), torch.tensor([0.45, 0.08]))
    assert torch.equal(mixed(plain, cached, 0.0), plain)
