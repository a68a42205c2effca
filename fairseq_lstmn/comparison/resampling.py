"""A system's scores had other test items been drawn: bootstrap, and swaps between two systems.

K seeds, U units (items that are drawn together), d statistics a unit, B draws.
"""

from dataclasses import dataclass

import numpy as np

DRAWS = 10_000
NUMBERS = 2_000_000  # of float64 that one array may hold: 16 MB
ROUNDING = 1e-9  # relative; a swap that changes nothing must count as equal to what was seen


@dataclass(frozen=True)
class Resampled:
    """One system.

    Attributes:
        scores: of every seed (K).
        replicates: the same under every draw of the units (B, K); NaN if a score is not finite.
        mean_statistics: over the seeds (U, d).
    """

    scores: np.ndarray
    replicates: np.ndarray
    mean_statistics: np.ndarray

    @property
    def finite(self):
        """Whether every score is a number, those of the draws too."""
        return bool(np.isfinite(self.replicates).all())


def resample(systems, score, draws=DRAWS, seed=1):
    """Bootstrap over units (Efron 1979) with the same draws for all systems.

    Args:
        systems: name -> summed statistics (K, U, d); K may differ between them.
        score: from sums (..., d) to scores (...).
        draws: B.
        seed: of the generator.

    Returns:
        name -> Resampled.
    """
    scores = {name: score(statistics.sum(axis=1)) for name, statistics in systems.items()}
    replicates = {name: np.full((draws, len(own)), np.nan) for name, own in scores.items()}
    units = next(iter(systems.values())).shape[1]
    generator = np.random.default_rng(seed)
    width = max(units, *(system[:, 0].size for system in systems.values()))
    for rows in chunks(draws, width):
        counts = unit_counts(generator, rows.stop - rows.start, units)
        for name, statistics in systems.items():
            if np.isfinite(scores[name]).all():
                replicates[name][rows] = score(np.tensordot(counts, statistics, axes=(1, 1)))
    return {
        name: Resampled(scores[name], replicates[name], statistics.mean(axis=0))
        for name, statistics in systems.items()
    }


def chunks(draws, width):
    """Slices that cut the draws so that an array of this width stays within ``NUMBERS``."""
    rows = max(1, NUMBERS // width)
    return [slice(start, min(start + rows, draws)) for start in range(0, draws, rows)]


def unit_counts(generator, rows, units):
    """How often each unit is drawn when as many are drawn as there are: (rows, units)."""
    drawn = generator.integers(units, size=(rows, units))
    drawn += units * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units).astype(float)


def randomisation(model, baseline, score, seed=1):
    """The two-sided p of approximate randomisation (Noreen 1989; Riezler and Maxwell 2005).

    If the two systems were one, whose output of a unit is whose would not matter. All seeds of
    a unit change sides together, which holds for unequal numbers of seeds too as the statistics
    are those of the mean seed; a score that is not linear is taken of them.

    Args:
        model, baseline: Resampled, of the same units.
        score: from sums (..., d) to scores (...).
        seed: of the generator.
    """
    gain = model.mean_statistics - baseline.mean_statistics
    ours, theirs = model.mean_statistics.sum(axis=0), baseline.mean_statistics.sum(axis=0)
    seen = abs(score(ours) - score(theirs)) * (1 - ROUNDING)
    generator = np.random.default_rng(seed)
    draws, extreme = len(model.replicates), 0
    for rows in chunks(draws, max(gain.shape)):
        swapped = generator.integers(2, size=(rows.stop - rows.start, len(gain)), dtype=bool)
        moved = swapped.astype(float) @ gain
        extreme += int((abs(score(ours - moved) - score(theirs + moved)) >= seen).sum())
    return (extreme + 1) / (draws + 1)
