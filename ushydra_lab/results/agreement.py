"""Intraclass correlation (ICC) of repeated measurements; Bland-Altman is in `repeats`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f


@dataclass(frozen=True)
class Agreement:
    """Intraclass correlation with its 95 % interval, of n targets measured by each of k raters."""

    icc: float
    low: float
    high: float
    targets: int
    raters: int


def icc(ratings: NDArray[np.float64]) -> Agreement:
    """ICC(A,1): two-way, absolute agreement, single measurement, of ratings (targets, raters).

    K. O. McGraw and S. P. Wong, Psychol. Methods 1(1), 1996: tables 4 and 7; Shrout and Fleiss' ICC(2,1). Targets that
    any rater left without a value are dropped. NaN for fewer than two targets or raters, or ratings that never vary.
    """
    ratings = ratings[~np.isnan(ratings).any(axis=1)]
    n, k = ratings.shape
    if n < 2 or k < 2:
        return Agreement(np.nan, np.nan, np.nan, n, k)
    by_target, by_rater, mean = ratings.mean(axis=1), ratings.mean(axis=0), ratings.mean()
    targets = k * ((by_target - mean) ** 2).sum() / (n - 1)
    raters = n * ((by_rater - mean) ** 2).sum() / (k - 1)
    rest = ((ratings - by_target[:, None] - by_rater + mean) ** 2).sum() / ((n - 1) * (k - 1))
    whole = targets + (k - 1) * rest + k * (raters - rest) / n
    if whole <= 0:
        return Agreement(np.nan, np.nan, np.nan, n, k)
    r = (targets - rest) / whole
    if np.isclose(r, 1, rtol=0, atol=1e-12):
        return Agreement(float(r), float(r), float(r), n, k)
    a, b = k * r / (n * (1 - r)), 1 + k * r * (n - 1) / (n * (1 - r))
    degrees = (a * raters + b * rest) ** 2 / ((a * raters) ** 2 / (k - 1) + (b * rest) ** 2 / ((n - 1) * (k - 1)))
    upper, lower = f.ppf(0.975, n - 1, degrees), f.ppf(0.975, degrees, n - 1)
    spread = k * raters + (k * n - k - n) * rest
    low = n * (targets - upper * rest) / (upper * spread + n * targets)
    high = n * (lower * targets - rest) / (spread + n * lower * targets)
    return Agreement(float(r), float(low), float(high), n, k)
