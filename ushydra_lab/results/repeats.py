"""Bland-Altman agreement of two measurements where subjects have several images each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, norm, t

from ushydra_lab.results.clustered import mean_and_reach
from ushydra_lab.results.crossed import freedom

Floats = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class RepeatedAgreement:
    """Of n differences a - b of some subjects: bias (mean over images), SD between and within subjects, 95 % limits.

    Each `_interval` is a 95 % confidence interval. slope: how much the difference changes with the size of what is
    measured, the mean of a and b (proportional bias). acceptable: whether both limits lie within the declared ones, by
    the outer ends of their intervals; None where none are declared. NaN where undefined.
    """

    bias: float
    bias_interval: Interval
    between: float
    within: float
    low: float
    low_interval: Interval
    high: float
    high_interval: Interval
    slope: float
    slope_interval: Interval
    acceptable: bool | None
    n: int
    subjects: int

    @property
    def sd(self) -> float:
        """Of one image of any subject: variances between and within subjects added."""
        return (self.high - self.low) / 2 / float(norm.ppf(0.975))

    @property
    def proportional(self) -> bool:
        """Whether the bias depends on the size: the slope's interval leaves out 0."""
        return bool(self.slope_interval[0] > 0 or self.slope_interval[1] < 0)


def bland_altman_repeated(
    a: ArrayLike, b: ArrayLike, subjects: ArrayLike, acceptable: float | None = None
) -> RepeatedAgreement:
    """Agreement of two measurements (N,) of the same images, of subjects (N,) with any number of images each.

    The true value may differ from image to image: J. M. Bland and D. G. Altman, Agreement between methods of
    measurement with multiple observations per individual, J. Biopharm. Stat. 17, 2007, section 3: limits at the bias
    -+ 1.96 sqrt(between^2 + within^2), by the analysis of variance of the differences. Intervals of the limits from
    those of the bias and of the variance (G. Y. Zou, Stat. Methods Med. Res. 22, 2013). Pairs with a NaN are dropped.

    Args:
        acceptable: differences up to this size, in the unit of the data, do not matter.
    """
    first, second, who = np.asarray(a, float), np.asarray(b, float), np.asarray(subjects)
    known = ~np.isnan(first - second)
    difference, size = (first - second)[known], (first + second)[known] / 2
    codes = np.unique(who[known], return_inverse=True)[1]
    n, number, nan = len(difference), len(np.unique(codes)), float("nan")
    none = (nan, nan)
    if number < 2:
        bias = float(difference.mean()) if n else nan
        return RepeatedAgreement(bias, none, nan, nan, nan, none, nan, none, nan, none, None, n, number)
    bias, reach = mean_and_reach(difference, codes)
    between, within, total, down, up = _variances(difference, codes)
    z = float(norm.ppf(0.975))
    sd, inner, outer = (z * float(np.sqrt(one)) for one in (total, total - down, total + up))
    inward, outward = np.hypot(reach, sd - inner), np.hypot(reach, outer - sd)
    lower = (float(bias - sd - outward), float(bias - sd + inward))
    upper = (float(bias + sd - inward), float(bias + sd + outward))
    within_limits = None if acceptable is None else bool(-acceptable <= lower[0] and upper[1] <= acceptable)
    between, within = (float(np.sqrt(max(one, 0.0))) for one in (between, within))
    slope, of_slope = _slope(difference, size, codes)
    return RepeatedAgreement(
        bias, (bias - reach, bias + reach), between, within, bias - sd, lower, bias + sd, upper,
        slope, of_slope, within_limits, n, number,
    )  # fmt: skip


def _variances(difference: Floats, codes: NDArray[np.int64]) -> tuple[float, float, float, float, float]:
    """Variance between and within subjects and of one image, and how far its interval reaches down and up.

    Of subjects' means (harmonic mean m of their numbers of images) and within subjects: total = means + (1 - 1/m)
    within, a sum of two independent variances, whose intervals are combined (MOVER).
    """
    counts = np.bincount(codes)
    number, n = len(counts), len(codes)
    means = np.bincount(codes, difference) / counts
    harmonic = number / (1 / counts).sum()
    of_means = float(means.var(ddof=1))
    inside = float(((difference - means[codes]) ** 2).sum() / (n - number)) if n > number else 0.0
    share = 1 - 1 / harmonic
    down = up = 0.0
    for variance, degrees in ((of_means, _freedom_of_means(of_means, inside, counts)), (share * inside, n - number)):
        if variance > 0:
            down += (variance * (1 - degrees / chi2.isf(0.025, degrees))) ** 2
            up += (variance * (degrees / chi2.ppf(0.025, degrees) - 1)) ** 2
    total = of_means + share * inside
    return of_means - inside / harmonic, inside, total, min(float(np.sqrt(down)), total), float(np.sqrt(up))


def _freedom_of_means(of_means: float, inside: float, counts: NDArray[np.int64]) -> float:
    """Satterthwaite's, of the variance of subjects' means that are uncertain to different degrees."""
    number = len(counts)
    each = max(of_means - inside * float((1 / counts).mean()), 0.0) + inside / counts
    products = np.outer(each, each) * (np.eye(number) - 1 / number) ** 2
    return float((each.sum() * (1 - 1 / number)) ** 2 / products.sum()) if each.any() else number - 1.0


def _slope(difference: Floats, size: Floats, codes: NDArray[np.int64]) -> tuple[float, Interval]:
    """Least-squares slope of difference on size; its interval from leaving out each subject in turn (jackknife).

    Degrees of freedom as of a mean in which subjects weigh by their leverage.
    """
    number = int(codes.max()) + 1
    if number < 3 or np.ptp(size) == 0:
        return np.nan, (np.nan, np.nan)
    moments = [np.bincount(codes, x) for x in (np.ones_like(size), size, difference, size**2, size * difference)]

    def slope(n: Floats, x: Floats, y: Floats, xx: Floats, xy: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((n * xy - x * y) / (n * xx - x**2))

    whole = float(slope(*(one.sum() for one in moments)))
    without = slope(*(one.sum() - one for one in moments))
    error = float(np.sqrt((number - 1) / number * ((without - whole) ** 2).sum()))
    n, x, _, xx, _ = moments
    leverage = xx - 2 * x * size.mean() + n * size.mean() ** 2
    half = float(t.isf(0.025, freedom(leverage / leverage.sum()))) * error
    return whole, (whole - half, whole + half)
