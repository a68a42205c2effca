"""A system's scores had other test items been drawn: bootstrap, and swaps between two systems.

K seeds, U units (items that are drawn together), d statistics a unit, B draws.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fairseq_lstmn.compare.types import Floats, Score

DRAWS = 10_000
NUMBERS = 2_000_000  # of float64 that one array may hold: 16 MB
ROUNDING = 1e-9  # relative; a swap that changes nothing must count as equal to what was seen


@dataclass(frozen=True)
class Resampled:
    """One system.

    Attributes:
        scores: of every seed (K).
        replicates: the same under every draw of the units (B, K); NaN if a score is not finite.
        statistics: of every seed and unit (K, U, d).
    """

    scores: Floats
    replicates: Floats
    statistics: Floats

    @property
    def finite(self) -> bool:
        """Whether every score is a number, those of the draws too."""
        return bool(np.isfinite(self.replicates).all())

    @property
    def units(self) -> int:
        """U."""
        units: int = self.statistics.shape[1]
        return units


def resample(
    systems: Mapping[str, Floats], score: Score, draws: int = DRAWS, seed: int = 1
) -> dict[str, Resampled]:
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
        name: Resampled(scores[name], replicates[name], statistics)
        for name, statistics in systems.items()
    }


def chunks(draws: int, width: int) -> list[slice]:
    """Slices that cut the draws so that an array of this width stays within ``NUMBERS``."""
    rows = max(1, NUMBERS // width)
    return [slice(start, min(start + rows, draws)) for start in range(0, draws, rows)]


def unit_counts(generator: np.random.Generator, rows: int, units: int) -> Floats:
    """How often each unit is drawn when as many are drawn as there are: (rows, units)."""
    drawn = generator.integers(units, size=(rows, units))
    drawn += units * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units).astype(float)


def randomisation(model: Resampled, baseline: Resampled, score: Score, seed: int = 1) -> float:
    """The two-sided p of approximate randomisation (Noreen 1989; Riezler and Maxwell 2005).

    If the two systems were one, whose output of a unit is whose would not matter. A unit changes
    sides in all seeds at once, as its difficulty is theirs together. Sides are changed within
    pairs of trainings, every seed of the model with every seed of the baseline: no pairing is
    given by nature, and so a failed seed leaves nothing unpaired. The mean over pairs of the
    scores' difference is the difference of the mean scores, whatever the score; of a linear one
    it stays so under every swap, and pairs one to one would give the same.

    Args:
        model, baseline: Resampled, of the same units; K and K' seeds.
        score: from sums (..., d) to scores (...).
        seed: of the generator.
    """
    seen = abs(model.scores.mean() - baseline.scores.mean()) * (1 - ROUNDING)
    ours, theirs = (system.statistics.sum(axis=1) for system in (model, baseline))
    generator = np.random.default_rng(seed)
    draws, extreme = len(model.replicates), 0
    for rows in chunks(draws, max(model.units, len(theirs) * ours.size)):
        swapped = generator.integers(2, size=(rows.stop - rows.start, model.units), dtype=bool)
        ours_moved, theirs_moved = (
            np.tensordot(swapped.astype(float), system.statistics, axes=(1, 1))
            for system in (model, baseline)
        )
        moved = ours_moved[:, :, None] - theirs_moved[:, None]  # (rows, K, K', d)
        gains = score(ours[:, None] - moved) - score(theirs + moved)
        extreme += int((abs(gains.mean(axis=(1, 2))) >= seen).sum())
    return (extreme + 1) / (draws + 1)
