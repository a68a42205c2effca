"""Draws of the test items: against scipy's and sacrebleu's own tests on the same numbers."""

import itertools

import numpy as np
import pytest
from sacrebleu.metrics import BLEU
from sacrebleu.significance import PairedTest
from scipy import stats

from fairseq_lstmn.compare.stats import resampling
from fairseq_lstmn.compare.stats.metrics import METRICS
from fairseq_lstmn.compare.stats.resampling import randomisation, resample, unit_counts
from tests.compare.test_metrics import translations


def perplexities(seeds, units=40, seed=1, shift=0.0):
    """Statistics of a language model (seeds, units, 2) on the same sentences, some harder."""
    text = np.random.default_rng(0)
    lengths, difficulty = text.integers(1, 30, size=units), text.gamma(8.0, 0.5, size=units)
    noise = np.random.default_rng(seed).normal(shift, 0.3, size=(seeds, units))
    losses = difficulty + noise
    return np.stack([losses * lengths, np.broadcast_to(lengths, losses.shape)], axis=-1)


def perplexity(sums):
    return METRICS["perplexity"].score(sums)


def test_every_draw_is_of_as_many_units_each_as_likely():
    counts = unit_counts(np.random.default_rng(1), 4000, 5)
    assert (counts.sum(axis=1) == 5).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(5), abs=0.07)
    assert counts.var(axis=0) == pytest.approx(np.full(5, 0.8), abs=0.1)


def test_replicates_are_the_scores_of_the_drawn_units(monkeypatch):
    systems = {"a": perplexities(2), "b": perplexities(3, seed=2)}
    resampled = resample(systems, perplexity, draws=50)
    counts = unit_counts(np.random.default_rng(1), 50, 40)
    for name, statistics in systems.items():
        drawn = np.repeat(np.arange(40), counts[7].astype(int))
        expected = perplexity(statistics[:, drawn].sum(axis=1))
        assert resampled[name].replicates[7] == pytest.approx(expected)
        assert resampled[name].scores == pytest.approx(perplexity(statistics.sum(axis=1)))
    monkeypatch.setattr(resampling, "NUMBERS", 40 * 7)
    in_pieces = resample(systems, perplexity, draws=50)
    assert in_pieces["b"].replicates == pytest.approx(resampled["b"].replicates)


def test_the_draws_are_of_the_same_units_for_every_system():
    system = perplexities(2)
    resampled = resample({"a": system, "b": system[:1]}, perplexity, draws=20)
    assert resampled["a"].replicates[:, 0] == pytest.approx(resampled["b"].replicates[:, 0])


def test_a_score_that_is_not_finite_is_not_resampled():
    broken = perplexities(2)
    broken[1, 3, 0] = np.inf
    resampled = resample({"a": broken, "b": perplexities(2)}, perplexity, draws=20)
    assert not resampled["a"].finite and resampled["b"].finite


def monte_carlo_error(p):
    """Four standard errors of the difference of two p from 10,000 draws each."""
    return 4 * np.sqrt(2 * p * (1 - p) / 10_000)


def test_randomisation_agrees_with_scipy():
    ours, theirs = perplexities(1), perplexities(1, seed=2, shift=0.1)
    units = np.concatenate([ours[0], theirs[0]])

    def difference(left, right, axis):
        sums = (units[numbers.astype(int)].sum(axis=-2) for numbers in (left, right))
        return np.subtract(*map(perplexity, sums))

    expected = stats.permutation_test(
        (np.arange(40), np.arange(40, 80)),
        difference,
        permutation_type="samples",
        vectorized=True,
        n_resamples=10_000,
        random_state=np.random.default_rng(1),
    ).pvalue
    resampled = resample({"ours": ours, "theirs": theirs}, perplexity)
    p = randomisation(resampled["ours"], resampled["theirs"], perplexity)
    assert 0.02 < p < 0.5
    assert p == pytest.approx(expected, abs=monte_carlo_error(p))


def test_randomisation_agrees_with_sacrebleu():
    metric = METRICS["bleu"]
    outputs = {"baseline": translations(100), "other": translations(100, seed=5)}
    systems = {name: metric.statistics(items)[None] for name, items in outputs.items()}
    resampled = resample(systems, metric.score)
    p = randomisation(resampled["other"], resampled["baseline"], metric.score)
    named = [(name, items.hypotheses) for name, items in outputs.items()]
    test = PairedTest(named, {"BLEU": BLEU()}, [outputs["other"].references], "ar")
    expected = test()[1]["BLEU"][1]
    assert resampled["other"].scores[0] == pytest.approx(expected.score)
    assert 0.02 < p < 0.5
    assert p == pytest.approx(expected.p_value, abs=monte_carlo_error(p))


def of_every_swap(ours, theirs):
    """p of perplexity: no draws, all swaps of the units, in the seeds' pairs one after another."""
    pairs = list(itertools.product(ours, theirs))
    gains = []
    for swap in itertools.product([False, True], repeat=ours.shape[1]):
        swap = np.array(swap)[:, None]
        gains.append(
            np.mean(
                [
                    perplexity(np.where(swap, b, a).sum(axis=0))
                    - perplexity(np.where(swap, a, b).sum(axis=0))
                    for a, b in pairs
                ]
            )
        )
    return np.mean(np.abs(gains) >= abs(gains[0]) * (1 - 1e-9))


@pytest.mark.parametrize("seeds", [(3, 3), (3, 2)])
def test_randomisation_of_several_seeds_is_of_their_mean_score(seeds):
    """Which is not the score of their mean (p = 0.4): one seed is far better, one far worse."""
    ours, theirs = perplexities(seeds[0], units=8), perplexities(seeds[1], units=8, seed=2)
    ours[0, :, 0] *= 0.8
    ours[-1, ::2, 0] *= 1.6
    resampled = resample({"ours": ours, "theirs": theirs}, perplexity)
    expected = of_every_swap(ours, theirs)
    p = randomisation(resampled["ours"], resampled["theirs"], perplexity)
    assert 0.05 < expected < 0.1
    assert p == pytest.approx(expected, abs=monte_carlo_error(expected))
    again = resample({"ours": ours[::-1], "theirs": theirs}, perplexity)
    assert randomisation(again["ours"], again["theirs"], perplexity) == p


def test_randomisation_sees_the_difference_that_is_reported():
    """Its mean loss is lower and its mean perplexity higher: exp(4.8) outweighs the others."""
    losses = {"ours": [3.6, 4.0, 4.8], "theirs": [4.15, 4.16, 4.17]}
    spread = np.random.default_rng(1).normal(0, 1, size=(2, 12))
    systems = {
        name: np.stack([np.add.outer(own, noise - noise.mean()), np.ones((3, 12))], axis=-1)
        for (name, own), noise in zip(losses.items(), spread)
    }
    resampled = resample(systems, perplexity)
    assert resampled["ours"].scores.mean() > resampled["theirs"].scores.mean()
    expected = of_every_swap(*systems.values())
    p = randomisation(resampled["ours"], resampled["theirs"], perplexity)
    assert p == pytest.approx(expected, abs=monte_carlo_error(expected))


def test_a_swap_of_all_units_is_as_extreme_as_what_was_seen():
    """Of three units of one sign 2 of 8 swaps are, although these sums are rounded apart."""
    model = np.array([[[0.3], [0.6], [0.7]]])
    resampled = resample({"model": model, "baseline": 0 * model + 0.9}, lambda sums: sums[..., 0])
    p = randomisation(resampled["model"], resampled["baseline"], lambda sums: sums[..., 0])
    assert p == pytest.approx(0.25, abs=0.02)


def test_the_least_p_is_that_of_what_was_seen_itself():
    resampled = resample(
        {"model": perplexities(1), "baseline": perplexities(1, shift=2)}, perplexity
    )
    assert randomisation(resampled["model"], resampled["baseline"], perplexity) == 1 / 10_001


def test_seeds_that_are_all_the_same_are_as_one():
    model, baseline = perplexities(1), perplexities(1, seed=2, shift=0.1)
    resampled = resample({"a": model, "b": baseline, "c": baseline.repeat(3, axis=0)}, perplexity)
    p = randomisation(resampled["a"], resampled["b"], perplexity)
    assert randomisation(resampled["a"], resampled["c"], perplexity) == pytest.approx(p, abs=0.001)
