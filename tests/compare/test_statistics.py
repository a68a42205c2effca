"""The verdict errs as seldom as it says, on simulated seeds and items, and agrees with scipy."""

import dataclasses
import math
import warnings

import numpy as np
import pytest
from scipy import stats

from fairseq_lstmn.compare.stats import significance as statistics
from fairseq_lstmn.compare.stats.metrics import METRICS
from fairseq_lstmn.compare.stats.resampling import resample
from fairseq_lstmn.compare.stats.significance import (
    Difference,
    compare,
    deviations,
    holm,
    interaction,
    judged,
    least_permutation,
    permutation,
    seed_noise,
)
from tests.compare.test_resampling import perplexities, perplexity

UNITS = 100


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def total(sums):
    """The score of the simulations: linear, d is 1."""
    return sums[..., 0]


def simulated(generator, seeds, deviations, difference=0.0):
    """Statistics of two systems whose scores have known deviations.

    Args:
        seeds: K of the one and of the other.
        deviations: of a score by its seed, by the items, and by both together.
        difference: of the model's true score from the baseline's.
    """
    of_seed, of_items, of_both = deviations
    systems = {}
    for name, count, mean in zip(("model", "baseline"), seeds, (difference, 0.0)):
        seed = of_seed * generator.standard_normal((count, 1))
        items = of_items * generator.standard_normal(UNITS) * math.sqrt(UNITS)
        both = of_both * generator.standard_normal((count, UNITS)) * math.sqrt(UNITS)
        systems[name] = (mean + seed + items + both)[..., None] / UNITS
    return systems


def verdicts(count, seeds, deviations, standard_errors=0.0, seed=1):
    """What comes out of so many simulated comparisons."""
    of_seed, of_items, of_both = deviations
    of_trainings = (of_seed**2 + of_both**2) * sum(1 / one for one in seeds)
    difference = standard_errors * math.sqrt(of_trainings + 2 * of_items**2)
    generator = np.random.default_rng(seed)
    result = []
    for number in range(count):
        systems = simulated(generator, seeds, deviations, difference)
        drawn = resample(systems, total, draws=1000, seed=number)
        result.append(compare(drawn, "baseline", total, True, seed=number)["model"].verdict)
    return result


def compared(model, baseline, score=perplexity, higher_is_better=False):
    """One model against the baseline."""
    drawn = resample({"model": model, "baseline": baseline}, score, draws=4000)
    return compare(drawn, "baseline", score, higher_is_better)["model"]


SEEDS, ITEMS, BOTH, MIXED = (1.0, 0.1, 0.1), (0.1, 1.0, 0.1), (0.1, 0.1, 1.0), (1.0, 0.7, 0.3)


@pytest.fixture
def quick(monkeypatch):
    """Spares half of the time, for what is in no verdict."""
    monkeypatch.setattr(statistics, "permutation", lambda *_: None)


@pytest.mark.parametrize(
    "seeds, deviations",
    [
        *((seeds, noise) for seeds in [(3, 3), (5, 5)] for noise in (SEEDS, ITEMS, BOTH, MIXED)),
        *(((2, 5), noise) for noise in (ITEMS, BOTH, MIXED)),  # SEEDS: see ``compare``
    ],
)
def test_no_difference_is_rarely_taken_for_one(quick, seeds, deviations):
    result = verdicts(400, seeds, deviations)
    assert 400 - result.count("inconclusive") <= 0.07 * 400


@pytest.mark.parametrize(
    "seeds, deviations",
    [((3, 3), ITEMS), ((5, 5), ITEMS), ((5, 5), MIXED), ((5, 5), (0.2, 1.0, 1.0))],
)
def test_a_difference_of_two_standard_errors_is_found_about_half_of_the_time(
    quick, seeds, deviations
):
    """Where noise of seeds or few of them leave more in doubt, ``compare`` says how much."""
    result = verdicts(200, seeds, deviations, standard_errors=2.0)
    assert result.count("better") >= 0.45 * 200
    assert "worse" not in result


def test_three_seeds_find_about_a_quarter_where_they_make_the_noise(quick):
    result = verdicts(200, (3, 3), SEEDS, standard_errors=2.0)
    assert 0.15 * 200 <= result.count("better") <= 0.35 * 200


def test_a_model_under_other_seeds_is_no_other_model():
    """Though its items alone, which know nothing of other trainings, tell most of them apart.

    Each arrangement is three seeds against three others, whose effects are drawn anew.
    """
    generator = np.random.default_rng(1)
    result = []
    for number in range(20):
        shifts = generator.normal(0, 0.3, size=(2, 3, 1))
        seeds = 6 * number + np.arange(6).reshape(2, 3)
        one, other = (
            np.concatenate([perplexities(1, seed=seed, shift=shift) for seed, shift in zip(*own)])
            for own in zip(seeds, shifts[..., 0])
        )
        result.append(compared(one, other))
    assert sum(one.p_items < 0.01 for one in result) >= 12
    unsure = [one for one in result if one.verdict == "inconclusive"]
    assert len(unsure) >= 18
    assert all(one.low < 0 < one.high and "chance" in one.reason for one in unsure)


def test_a_system_against_itself_is_exactly_nothing():
    model = perplexities(3)
    result = compared(model, model.copy())
    assert (result.value, result.p, result.p_items) == (0.0, 1.0, 1.0)
    assert result.verdict == "inconclusive"


@pytest.mark.parametrize("higher_is_better, verdict", [(False, "worse"), (True, "better")])
def test_a_large_difference_has_the_direction_of_the_metric(higher_is_better, verdict):
    model, baseline = perplexities(3, shift=0.5), perplexities(3, seed=2)
    result = compared(model, baseline, higher_is_better=higher_is_better)
    assert result.verdict == verdict and 0 < result.low < result.value < result.high
    assert result.p < 0.01 and result.p_seeds == result.p_seeds_least == 1 / 20
    assert compared(baseline, model).p_seeds == 1 / 20


def test_the_interval_of_one_seed_is_that_of_scipy():
    ours, theirs = perplexities(1, units=300), perplexities(1, units=300, seed=2, shift=0.1)

    def difference(units, axis):
        units = units.astype(int)
        return perplexity(ours[0, units].sum(axis=-2)) - perplexity(theirs[0, units].sum(axis=-2))

    expected = stats.bootstrap(
        (np.arange(300),),
        difference,
        n_resamples=4000,
        batch=500,
        method="percentile",
        vectorized=True,
        random_state=np.random.default_rng(3),
    ).confidence_interval
    result = compared(ours, theirs)
    width = expected.high - expected.low
    assert result.low == pytest.approx(expected.low, abs=0.04 * width)
    assert result.high == pytest.approx(expected.high, abs=0.04 * width)


def test_one_seed_gives_no_verdict():
    result = compared(perplexities(1, shift=2.0), perplexities(3))
    assert result.verdict == "inconclusive" and "one seed" in result.reason
    assert max(result.p, result.p_items) < 0.01
    assert result.p_seeds is result.p_seeds_least is None


def test_p_is_below_a_twentieth_where_the_interval_has_no_zero():
    agreed = set()
    for seed in range(30):
        result = compared(perplexities(3, seed=seed, shift=0.1), perplexities(4, seed=seed + 100))
        assert (result.p < 0.05) == (result.low > 0 or result.high < 0)
        agreed.add(result.p < 0.05)
    assert agreed == {True, False}


def test_without_an_effect_of_items_the_interval_is_as_wide_as_that_of_student():
    """Welch's, whatever the sample; single ones are as far off as 4000 draws are."""
    generator = np.random.default_rng(1)
    ratios = []
    for seeds in 10 * [(2, 3), (3, 3), (4, 6), (2, 5)]:
        scores = [generator.normal(0, 1 + at, size=count) for at, count in enumerate(seeds)]
        model, baseline = (
            np.broadcast_to(own[:, None, None] / UNITS, (len(own), UNITS, 1)) for own in scores
        )
        result = compared(model, baseline, total)
        low, high = stats.ttest_ind(*scores, equal_var=False).confidence_interval()
        ratios.append((result.high - result.low) / (high - low))
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.02)
    assert np.std(ratios) < 0.03


def test_noise_of_two_seeds_has_no_least_value():
    """The percentiles of a mean of two that are drawn again are all the least or the greatest."""
    result = resample({"system": perplexities(2)}, perplexity, draws=4000)["system"]
    noise = seed_noise(result, np.random.default_rng(1))
    assert len(set(noise.draws)) == 4000
    assert noise.draws.std() == pytest.approx(result.scores.std(ddof=1) / math.sqrt(2), rel=0.05)


def test_mixtures_that_are_drawn_are_the_same_every_time():
    """Of eleven seeds against eleven there are too many for all."""
    ours, theirs = np.random.default_rng(1).normal([[0.5], [0.0]], 1.0, size=(2, 11))
    p = permutation(ours, theirs, seed=1)
    assert p == permutation(ours, theirs, seed=1) != permutation(ours, theirs, seed=2)
    welch = stats.ttest_ind(ours, theirs, alternative="greater").pvalue
    assert p == pytest.approx(welch, abs=0.02)
    many = np.arange(15.0)
    assert permutation(many + 100, many, 1) == least_permutation(many, many) == 1 / 200_001
    assert least_permutation(ours[1:], theirs[1:]) == 1 / math.comb(20, 10)


def test_what_cannot_be_told_is_said():
    broken = perplexities(2)
    broken[1, 3, 0] = np.inf
    result = compared(perplexities(2, shift=5.0), broken)
    assert (result.value, result.low, result.p, result.verdict) == (
        None,
        None,
        None,
        "inconclusive",
    )
    assert "finite" in result.reason
    result = compared(perplexities(3, units=1), perplexities(3, units=1, shift=5.0))
    assert (result.low, result.p_items, result.verdict) == (None, None, "inconclusive")
    assert "one test item" in result.reason


def test_a_p_that_nobody_computed_is_no_test_of_the_others():
    broken = np.full((3, 40, 2), np.inf)
    systems = {"model": perplexities(3, shift=0.1), "broken": broken, "baseline": perplexities(3)}
    with np.errstate(invalid="ignore"):
        drawn = resample(systems, perplexity, draws=4000)
        result = compare(drawn, "baseline", perplexity, False)
    assert result["model"].p_holm == result["model"].p
    assert result["broken"].p_holm is result["broken"].p_items_holm is None


def test_no_variance_at_all_is_certain():
    same = np.ones((3, UNITS, 1))
    result = compared(2 * same, same, total, True)
    assert (result.value, result.low, result.high, result.p) == (UNITS, UNITS, UNITS, 0.0)
    assert result.verdict == "better"


def test_the_verdict_is_corrected_for_the_number_of_models():
    """A model that is better alone and not among eight; the others do as the baseline."""
    baseline = perplexities(5)
    model = perplexities(5, seed=2, shift=-0.1)
    alone = compared(model, baseline)
    assert alone.verdict == "better" and 0.05 / 8 < alone.p < 0.05
    others = {f"other {number}": baseline[:, ::-1] for number in range(7)}
    systems = {"model": model, "baseline": baseline, **others}
    drawn = resample(systems, perplexity, draws=4000)
    result = compare(drawn, "baseline", perplexity, False)
    assert "baseline" not in result and len(result) == 8
    assert result["model"].p == alone.p and result["model"].p_holm == pytest.approx(8 * alone.p)
    assert result["model"].verdict == "inconclusive"


@pytest.mark.parametrize("p, p_items", [(0.06, 0.01), (0.01, 0.06)])
def test_seeds_and_items_must_both_tell(p, p_items):
    result = Difference(value=1.0, p_holm=p, p_items_holm=p_items)
    assert judged(result, True).verdict == "inconclusive"
    both = dataclasses.replace(result, p_holm=0.04, p_items_holm=0.04)
    assert judged(both, True).verdict == "better"


def test_what_seeds_and_items_do_together_is_counted_once():
    """Its variance over K seeds, which is the same whether it is seen over seeds or over items."""
    both = np.random.default_rng(1).standard_normal((4, 2000, 1)) * math.sqrt(2000)
    system = resample({"system": both / 2000}, total, draws=4000)["system"]
    assert interaction(system) == pytest.approx(1 / 4, rel=0.1)


def test_holm_is_that_of_statsmodels():
    """multipletests(..., method="holm") of statsmodels 0.14."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []
    assert holm([0.03, None, 0.01]) == pytest.approx([0.03, None, 0.02])


def test_deviations_over_seeds_and_over_items():
    scores = np.random.default_rng(1).standard_normal((200, 1)) + 5
    items = np.random.default_rng(2).standard_normal((1, UNITS)) * math.sqrt(UNITS) * 3
    system = (scores + items)[..., None] / UNITS
    result = resample({"system": system, "one": system[:1]}, total)
    over_seeds, over_items = deviations(result["system"])
    assert over_seeds == pytest.approx(scores.std(ddof=1))
    assert over_items == pytest.approx(items.std(ddof=1) / math.sqrt(UNITS), rel=0.03)
    assert deviations(result["one"])[0] is None


def test_deviation_over_items_is_that_of_the_mean_over_seeds():
    """Which another test set moves less than it moves one seed; few items tell too little of it."""
    both = np.random.default_rng(3).standard_normal((16, 3, 1))
    expected = both.mean(axis=0).std(ddof=1) / math.sqrt(3)
    several, one = (resample({"": own}, total)[""] for own in (both / 3, both[:, :1]))
    assert deviations(several)[1] == pytest.approx(expected, rel=0.03)
    assert deviations(one)[1] is None


def test_deviations_of_what_is_not_finite_are_unknown():
    broken = np.full((2, 3, 2), np.inf)
    with np.errstate(invalid="ignore"):
        result = resample({"broken": broken}, METRICS["perplexity"].score, draws=10)
    assert deviations(result["broken"]) == (None, None)
