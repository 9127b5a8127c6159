"""How well repeated measurements agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import f, nct, norm, t


@dataclass(frozen=True)
class Agreement:
    """Intraclass correlation with its 95 % interval, of n targets measured by each of k raters."""

    icc: float
    low: float
    high: float
    targets: int
    raters: int


@dataclass(frozen=True)
class BlandAltman:
    """Of n differences: their mean (bias) and SD (ddof 1), and the 95 % limits of agreement, low and high.

    Each `_interval` is a 95 % confidence interval (low, high) of what it is named after. Without any distribution:
    middle, the 2.5 and 97.5 percentiles of the differences; outside, how many of them lie beyond the limits; furthest,
    the one furthest from 0. All but counts in the unit of the data.
    """

    bias: float
    bias_interval: tuple[float, float]
    sd: float
    low: float
    low_interval: tuple[float, float]
    high: float
    high_interval: tuple[float, float]
    middle: tuple[float, float]
    outside: int
    furthest: float
    n: int


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


def bland_altman(a: ArrayLike, b: ArrayLike) -> BlandAltman:
    """Agreement of two measurements (N,) of the same images, of the differences a - b.

    Limits: bias -+ 1.96 SD (J. M. Bland and D. G. Altman, Lancet 327, 1986). The interval of the bias is Student's;
    those of the limits are exact, for one limit at a time, by the noncentral t distribution (A. Carkeet, Optom. Vis.
    Sci. 92, 2015), since the usual approximation, SE^2 = SD^2 (1/n + 1.96^2 / (2 (n - 1))) (Bland and Altman, Stat.
    Methods Med. Res. 8, 1999), reaches less far outwards for few images. All take the differences for independent and
    normal: several images of one subject make the intervals too narrow, and a few gross failures the limits too wide.

    Pairs with a NaN are dropped; fewer than two leave everything NaN. Raises ValueError: shapes that do not fit.
    """
    first, second = np.asarray(a, float), np.asarray(b, float)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"expected two measurements of the same images, got shapes {first.shape} and {second.shape}")
    differences = (first - second)[~np.isnan(first - second)]
    n, nan = len(differences), float("nan")
    if n < 2:
        return BlandAltman(nan, (nan, nan), nan, nan, (nan, nan), nan, (nan, nan), (nan, nan), 0, nan, n)
    bias, sd, z = float(differences.mean()), float(differences.std(ddof=1)), float(norm.ppf(0.975))
    error = sd / float(np.sqrt(n))
    margin = error * float(t.ppf(0.975, n - 1))
    inner, outer = (error * float(x) for x in nct.ppf([0.025, 0.975], n - 1, z * np.sqrt(n)))
    return BlandAltman(
        bias,
        (bias - margin, bias + margin),
        sd,
        bias - z * sd,
        (bias - outer, bias - inner),
        bias + z * sd,
        (bias + inner, bias + outer),
        (float(np.percentile(differences, 2.5)), float(np.percentile(differences, 97.5))),
        int((np.abs(differences - bias) > z * sd).sum()),
        float(differences[np.abs(differences).argmax()]),
        n,
    )
