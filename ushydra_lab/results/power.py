"""What a number of seeds can show: power, the smallest change that is found, and the seeds that a margin needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from ushydra_lab.results.crossed import DIFFERENCE, Effect

Floats = NDArray[np.float64]
POWER, DRAWS, MOST_SEEDS, MOST_SUBJECTS = 0.8, 20_000, 100, 100_000


@dataclass(frozen=True)
class Variances:
    """Of the difference of two methods' means, in its unit squared, by one seed: of seeds, of subjects, residual.

    subjects is what remains however many seeds there are; seeds and residual are divided by their number.
    """

    seeds: float
    subjects: float
    residual: float
    subject_freedom: float

    @classmethod
    def of(cls, effect: Effect) -> Variances:
        """As estimated from an effect of two seeds or more."""
        both, subjects = effect.variances()
        residual = float(DIFFERENCE @ effect.residual @ DIFFERENCE)
        return cls(max(both - residual, 0) * effect.seeds, subjects, residual * effect.seeds, effect.subject_freedom)

    def with_subjects(self, times: float) -> Variances:
        """With so many times as many subjects of the same kind."""
        freedom = max(1.0, round(self.subject_freedom * times))
        return replace(self, subjects=self.subjects / times, residual=self.residual / times, subject_freedom=freedom)


def power(found: Variances, change: float, seeds: int, alpha: float = 0.05, within: bool = False) -> float:
    """How likely so many seeds find a change, in the unit of the difference, by the test of `crossed`.

    within: how likely they show instead that methods without a difference differ by less than `change` to either side,
    the interval at confidence 1 - alpha lying within. Simulated with normal and chi-squared numbers, always the same
    ones; the variances count as known.
    """
    if seeds < 2:
        return 0.0
    z, of_seeds, of_subjects, of_rest = _draws(seeds, found.subject_freedom)
    both, residual = (found.seeds + found.residual) / seeds, found.residual / seeds
    subjects = np.maximum((found.subjects + residual) * of_subjects - residual * of_rest, 0)
    quantiles = (t.isf(alpha / 2, freedom) ** 2 for freedom in (seeds - 1, found.subject_freedom))
    seeds_part = np.maximum(both * of_seeds, residual * of_rest)  # as `Effect.variances` has it
    half = np.sqrt(next(quantiles) * seeds_part + next(quantiles) * subjects)
    error = np.sqrt(both + found.subjects) * z
    return float(np.mean(np.abs(error) + half < change if within else np.abs(change + error) > half))


@lru_cache(64)
def _draws(seeds: int, subject_freedom: float) -> tuple[Floats, Floats, Floats, Floats]:
    rng = np.random.default_rng(0)
    freedoms = (seeds - 1, subject_freedom, (seeds - 1) * subject_freedom)
    of_seeds, of_subjects, of_rest = (rng.chisquare(freedom, DRAWS) / freedom for freedom in freedoms)
    return rng.standard_normal(DRAWS), of_seeds, of_subjects, of_rest


def detectable(found: Variances, seeds: int, alpha: float = 0.05, within: bool = False) -> float:
    """The smallest change of which `power` is 0.8; inf with one seed."""
    if seeds < 2:
        return np.inf
    high = float(np.sqrt(found.seeds + found.residual + found.subjects))
    if high == 0:
        return 0.0
    while power(found, high, seeds, alpha, within) < POWER:
        high *= 2
    low = 0.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if power(found, middle, seeds, alpha, within) >= POWER else (middle, high)
    return high


def seeds_needed(found: Variances, change: float, alpha: float = 0.05, within: bool = False) -> int | None:
    """The fewest seeds with power 0.8; None if 100 have not: then more subjects are needed."""
    enough = (n for n in range(2, MOST_SEEDS + 1) if power(found, change, n, alpha, within) >= POWER)
    return next(enough, None)


def subjects_needed(
    found: Variances, subjects: int, change: float, seeds: int, alpha: float = 0.05, within: bool = False
) -> int | None:
    """How many subjects like these give power 0.8 with so many seeds; None if 100,000 do not: then seeds are needed."""
    low, high = 2, MOST_SUBJECTS + 1
    while low < high:
        number = (low + high) // 2
        more = found.with_subjects(number / subjects)
        low, high = (low, number) if power(more, change, seeds, alpha, within) >= POWER else (number + 1, high)
    return low if low <= MOST_SUBJECTS else None
