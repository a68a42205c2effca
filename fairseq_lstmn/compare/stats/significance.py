"""Whether a model differs from the baseline by more than other seeds and test items would do.

Numbers only; which metric they are of is unknown here. K seeds, B draws of the test items.
"""

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from fairseq_lstmn.compare.stats.resampling import Resampled, randomisation
from fairseq_lstmn.compare.types import Floats, Score, Verdict

LEVEL = 0.05  # of the verdict and, as 1 - LEVEL, of the interval
MIXTURES = 200_000  # of seeds that are all tried, up to ten against ten; of more, so many at random
_NEW = "rng" in inspect.signature(stats.permutation_test).parameters  # scipy from 1.15 on
GENERATOR = "rng" if _NEW else "random_state"  # what scipy calls it

ONE_SEED = "one seed says nothing about other trainings: interval and p are over items alone"


@dataclass(frozen=True)
class Difference:
    """A model minus the baseline; None is what cannot be told.

    Attributes:
        value: of the scores' means over seeds.
        low, high: the interval of 95%, over seeds and items together, or over items alone where
            either has one seed; for this model alone, not corrected over the models.
        p: two-sided, of the same noise; below 0.05 where the interval has no zero.
        p_items: two-sided, of approximate randomisation of the items for these seeds.
        p_seeds: one-sided in the direction seen, of mixtures of the seeds' scores; double it to
            compare it with the other two.
        p_seeds_least: the smallest that so many seeds can give.
        p_holm, p_items_holm: ``p`` and ``p_items`` corrected over the models.
        verdict: "better", "worse" or "inconclusive".
        reason: of the verdict, half a sentence.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_items: float | None = None
    p_seeds: float | None = None
    p_seeds_least: float | None = None
    p_holm: float | None = None
    p_items_holm: float | None = None
    verdict: Verdict = "inconclusive"
    reason: str = ""


@dataclass(frozen=True)
class Noise:
    """One cause of chance in a difference: draws (B) around 0, variance, degrees of freedom."""

    draws: Floats
    variance: float
    freedom: int


def compare(
    systems: Mapping[str, Resampled],
    baseline: str,
    score: Score,
    higher_is_better: bool,
    seed: int = 1,
) -> dict[str, Difference]:
    """Hold every other system against the baseline.

    Simulated with noise of seeds, items and both together in several ratios, and two, three or
    five of both: without a difference 0 to 5.5% have a verdict. A difference of two standard
    errors is found in half of the cases where the items make most of the noise. Fewer are found
    where the seeds, or seeds and items together, make all of it, as their deviation is known from
    so few: 4 of 10 with five seeds, 2 or 3 of 10 with three, 1 of 10 with two; of noise from
    seeds and items alike 5, 4 and 4 of 10.

    What is not reached is at most 7% for unequal numbers, if the noise is of the seeds: as in
    Welch's test, two seeds against five (three runs failed) have a verdict in 6 to 7% of the cases
    without a difference, and in 10% where the two vary twice as much as the five.

    Args:
        systems: name -> Resampled, from one call of ``resample``.
        baseline: the name of one of them.
        score: from sums (..., d) to scores (...).
        higher_is_better: whether a positive difference is ``better``.
        seed: of the generators.

    Returns:
        name -> Difference, without the baseline.
    """
    differences = {
        name: difference(system, systems[baseline], score, seed)
        for name, system in systems.items()
        if name != baseline
    }
    ps = holm([one.p for one in differences.values()])
    ps_items = holm([one.p_items for one in differences.values()])
    return {
        name: judged(replace(one, p_holm=p, p_items_holm=p_items), higher_is_better)
        for (name, one), p, p_items in zip(differences.items(), ps, ps_items)
    }


def difference(model: Resampled, baseline: Resampled, score: Score, seed: int) -> Difference:
    """One model against the baseline, alone and not judged; a reason if it never can be."""
    if not (model.finite and baseline.finite):
        return Difference(reason="not every score is a finite number")
    value = float(model.scores.mean() - baseline.scores.mean())
    if model.units == 1:
        return Difference(value, reason="one test item says nothing about others")
    one_seed = min(len(model.scores), len(baseline.scores)) == 1
    low, high, p = interval(value, noises(model, baseline, value, seed))
    return Difference(
        value=value,
        low=low,
        high=high,
        p=p,
        p_items=randomisation(model, baseline, score, seed),
        p_seeds=None if one_seed else permutation(model.scores, baseline.scores, seed),
        p_seeds_least=None if one_seed else least_permutation(model.scores, baseline.scores),
        reason=ONE_SEED if one_seed else "",
    )


def judged(one: Difference, higher_is_better: bool) -> Difference:
    """The difference with its verdict: both corrected p must be below ``LEVEL``."""
    if one.reason:
        return one
    value, p, p_items = one.value, one.p_holm, one.p_items_holm
    assert value is not None and p is not None and p_items is not None
    chance = f"p = {p:.2g} over seeds and items, {p_items:.2g} over items alone"
    if max(p, p_items) >= LEVEL:
        return replace(one, reason=f"could be chance: {chance}")
    better = (value > 0) == higher_is_better
    return replace(one, verdict="better" if better else "worse", reason=chance)


def noises(model: Resampled, baseline: Resampled, value: float, seed: int) -> list[Noise]:
    """What makes the difference uncertain: the test items and, from two seeds on, each's seeds.

    Scores have effects of the seed, of the items and of both together. The last are in the
    deviation over seeds as well as in that over items, so they are taken out of one of them: to
    resample both and add (the pigeonhole bootstrap; Owen 2007) would count them more than once.
    """
    units = model.units
    draws = model.replicates.mean(axis=1) - baseline.replicates.mean(axis=1) - value
    items = Noise(draws * correction(units), draws.var() * correction(units) ** 2, units - 1)
    if min(len(model.scores), len(baseline.scores)) == 1:
        return [items]
    both = (interaction(model) + interaction(baseline)) * correction(units) ** 2
    rest = max(items.variance - both, 0.0)
    if rest:
        draws = items.draws * math.sqrt(rest / items.variance)
    else:
        draws = np.zeros_like(draws)
    generator = np.random.default_rng(seed)
    ours, theirs = seed_noise(model, generator), seed_noise(baseline, generator)
    return [Noise(draws, rest, units - 1), ours, replace(theirs, draws=-theirs.draws)]


def seed_noise(system: Resampled, generator: np.random.Generator) -> Noise:
    """Of the mean over K seeds, drawn from a normal distribution (parametric bootstrap).

    To draw K of the scores with replacement would give a mean of two or three seeds so few values
    that its outer percentiles are one value: all seeds the least, or all the greatest.
    """
    seeds = len(system.scores)
    variance = system.scores.var(ddof=1) / seeds
    draws = math.sqrt(variance) * generator.standard_normal(len(system.replicates))
    return Noise(draws, variance, seeds - 1)


def correction(size: int) -> float:
    """The bootstrap of a mean of so many finds a deviation that is too small by this factor."""
    return math.sqrt(size / (size - 1))


def interaction(system: Resampled) -> float:
    """The variance of the mean over seeds that comes of seed and items together.

    Over draws of the items, the part of the seeds' scores that they do not share.
    """
    seeds = len(system.scores)
    own = system.replicates - system.replicates.mean(axis=1, keepdims=True)
    variance: float = own.var(axis=0).sum() / (seeds - 1) / seeds
    return variance


def interval(value: float, parts: Sequence[Noise]) -> tuple[float, float, float]:
    """Bounds and two-sided p from the noise, ``value`` known.

    The percentiles of all noise together, drawn away from the value by Student's t over the
    normal quantile (Hesterberg 2015, "What teachers should know about the bootstrap", 5.3), with
    the degrees of freedom of Satterthwaite (1946). p is that of the same t: it is below ``LEVEL``
    exactly if 0 lies outside.
    """
    normal = stats.norm.isf(LEVEL / 2)
    noise = sum(part.draws for part in parts)
    below, above = np.quantile(noise, [LEVEL / 2, 1 - LEVEL / 2]) / normal
    freedom = satterthwaite(parts)
    student = stats.t.isf(LEVEL / 2, freedom)
    side = -below if value > 0 else above
    if value == 0:
        p = 1.0
    else:
        p = 2 * stats.t.sf(abs(value) / side, freedom) if side > 0 else 0.0
    return float(value + student * below), float(value + student * above), float(p)


def satterthwaite(parts: Sequence[Noise]) -> float:
    """Degrees of freedom of a sum of variances."""
    variance = sum(part.variance for part in parts)
    if variance == 0:
        return parts[0].freedom
    return variance**2 / sum(part.variance**2 / part.freedom for part in parts)


def permutation(ours: Floats, theirs: Floats, seed: int) -> float:
    """One-sided p that the mean of scores (K) is so far to its side of (K'), if they were mixed.

    Exact up to ``MIXTURES``, all of which are tried then; ``seed`` is of the generator beyond.
    """
    higher = ours.mean() > theirs.mean()
    test = stats.permutation_test(
        (ours, theirs),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        vectorized=True,
        n_resamples=MIXTURES,
        batch=10_000,
        alternative="greater" if higher else "less",
        **{GENERATOR: np.random.default_rng(seed)},
    )
    return float(test.pvalue)


def least_permutation(ours: Floats, theirs: Floats) -> float:
    """The p of all seeds of one system above all of the other: 1/20 for three against three."""
    mixtures = math.comb(len(ours) + len(theirs), len(ours))
    return 1 / (mixtures if mixtures <= MIXTURES else MIXTURES + 1)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Corrected for the number of tests (Holm 1979), in the order given; None is no test."""
    order = sorted((p, at) for at, p in enumerate(ps) if p is not None)
    corrected, least = list(ps), 0.0
    for rank, (p, at) in enumerate(order):
        corrected[at] = least = max(least, min(1.0, p * (len(order) - rank)))
    return corrected


def deviations(system: Resampled) -> tuple[float | None, float | None]:
    """What multeval (Clark et al. 2011) reports apart: over seeds, and over the test items.

    Returns:
        The standard deviation of the seeds' scores, None of one seed; that of their mean over
        draws of the items, None of one unit. Both None if a score is not finite.
    """
    if not system.finite:
        return None, None
    seeds: float | None = None
    items: float | None = None
    if len(system.scores) > 1:
        seeds = float(system.scores.std(ddof=1))
    if system.units > 1:
        items = float(system.replicates.mean(axis=1).std() * correction(system.units))
    return seeds, items
