"""Two methods compared over seeds crossed with subjects: the difference of their means, its test and its interval.

Every seed trains both methods, and the same subjects are tested under every seed, so a difference varies from seed to
seed and from subject to subject. Means follow images: each image counts once. Tests follow subjects: the images of one
subject are one unit, however many there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import stdtrit

Floats = NDArray[np.float64]
KEYS = ("fold", "seed", "site", "subject", "record")
DIFFERENCE = np.array([-1.0, 1.0])


@dataclass(frozen=True)
class Effect:
    """Method b against method a, measured on the same images of the same seeds.

    means: over images, of a and b. of_seeds, of_subjects: the parts (2, 2) of the means' covariance that come from the
    seeds and from the subjects; seed_freedom, subject_freedom: degrees of freedom of each. relative: whether the change
    is in per cent of a's mean. most: no difference can be larger; spread: from the smallest to the largest value of an
    image, of both methods. residual: what seeds and subjects do not explain, included in of_seeds.

    The change's variance has two independent estimated parts, and each is multiplied by the squared Student quantile of
    its own degrees of freedom: T^2 > t_seeds^2 V_seeds + t_subjects^2 V_subjects (K. S. Banerjee, Simplified interval
    for the Behrens-Fisher problem, 1960). With the residual in both parts the level is at most the nominal one whatever
    their ratio, since chi-squared with 1 degree of freedom has a concave distribution function. That it still is with
    the residual counted once is measured by `benchmark --only evidence`; docs/statistics.md has the tests not taken.
    """

    means: Floats
    of_seeds: Floats
    of_subjects: Floats
    residual: Floats
    seed_freedom: float
    subject_freedom: float
    seeds: int
    subjects: int
    images: int
    spread: float
    relative: bool = False
    most: float = np.inf

    @property
    def change(self) -> float:
        """b's mean minus a's, in per cent of a's mean if `relative`; NaN where undefined."""
        difference = float(self.means[1] - self.means[0])
        if not self.relative:
            return difference
        return 100 * difference / float(self.means[0]) if self.means[0] > 0 else np.nan

    @property
    def possible(self) -> tuple[float, float]:
        """The smallest and largest change that there can be."""
        if self.relative:
            return (-100.0 if self.means[1] >= 0 else -np.inf), np.inf
        return -self.most, self.most

    @property
    def testable(self) -> bool:
        """Two seeds and two subjects, or there is neither an interval nor a p."""
        return self.seeds > 1 and self.subjects > 1

    def variances(self, contrast: Floats = DIFFERENCE) -> tuple[float, float]:
        """V_seeds, no smaller than the residual that it contains, and V_subjects of a combination of both means.

        Of shares and other counts, few seeds often differ by nothing at all; an estimate of 0 would make a star of it.
        """
        parts = (self.of_seeds, self.residual, self.of_subjects)
        seeds, residual, subjects = (float(contrast @ part @ contrast) for part in parts)
        return max(seeds, residual, 0.0), max(subjects, 0.0)

    def p(self, null: float = 0.0) -> float:
        """Two-sided p against a change of `null`, in the unit of `change`; NaN where not testable."""
        if self.relative:
            contrast, distance = np.array([-(1 + null / 100), 1.0]), 0.0
        else:
            contrast, distance = DIFFERENCE, null
        if not self.testable or np.isnan(self.change):
            return np.nan
        return two_sided(float(contrast @ self.means) - distance, self.variances(contrast), self.freedom)

    @property
    def freedom(self) -> tuple[float, float]:
        return self.seed_freedom, self.subject_freedom

    def interval(self, alpha: float = 0.05) -> tuple[float, float]:
        """All changes that `p` does not refuse at alpha, within what is possible; NaN where not testable."""
        if not self.testable or np.isnan(self.change):
            return np.nan, np.nan
        if self.change == 0 and not any(self.variances()):  # the same values throughout, however uncertain their mean
            return 0.0, 0.0
        if self.relative:
            low, high = self._ratios(alpha)
            ends = 100 * (low - 1), 100 * (high - 1)
        else:
            half = half_width(self.variances(), self.freedom, alpha)
            ends = self.change - half, self.change + half
        low, high = np.clip(ends, *self.possible)
        return float(low), float(high)

    def _ratios(self, alpha: float) -> tuple[float, float]:
        """Interval of b's mean over a's (E. C. Fieller, 1954), unbounded where a's mean may be 0.

        A ratio r is kept where (b - r a)^2 <= t_seeds^2 V_seeds(r) + t_subjects^2 max(V_subjects(r), 0): where one of
        four quadratic inequalities holds, with and without the subjects, the seeds' part or the residual being larger.
        """
        seeds, subjects = (stdtrit(freedom, alpha / 2) ** 2 for freedom in self.freedom)
        square = np.outer(self.means, self.means)
        forms = [square - seeds * part for part in (self.of_seeds, self.residual)]
        forms += [form - subjects * self.of_subjects for form in forms]
        kept = [_negative(form) for form in forms]
        ends = [end for pair in kept if pair for end in pair] or [self.means[1] / self.means[0]]
        return min(ends), max(ends)

    @property
    def smallest_p(self) -> float:
        """p if the change were as large as the spread of all images, the variances being as they are."""
        return two_sided(min(self.spread, self.most), self.variances(), self.freedom) if self.testable else np.nan


def _negative(form: Floats) -> tuple[float, float] | None:
    """Where (-r, 1) form (-r, 1)' <= 0; None for nowhere."""
    a, b, c = form[0, 0], -2 * form[0, 1], form[1, 1]
    root = b * b - 4 * a * c
    if a <= 0:
        return -np.inf, np.inf
    if root < 0:
        return None
    return (-b - np.sqrt(root)) / (2 * a), (-b + np.sqrt(root)) / (2 * a)


def squared_bound(variances: tuple[Any, Any], freedom: tuple[Any, Any], alpha: float) -> Any:
    """What a squared change must exceed to be significant: each variance times its own squared Student quantile.

    Of numbers or arrays; a part whose estimate is negative counts as 0.
    """
    seeds, subjects = (stdtrit(one, alpha / 2) ** 2 for one in freedom)
    return seeds * variances[0] + subjects * np.maximum(variances[1], 0)


def half_width(variances: tuple[float, float], freedom: tuple[float, float], alpha: float) -> float:
    """Of an interval at confidence 1 - alpha."""
    return float(np.sqrt(squared_bound(variances, freedom, alpha)))


def two_sided(distance: float, variances: tuple[float, float], freedom: tuple[float, float]) -> float:
    """The smallest alpha whose half-width is below the distance; NaN where nothing varies and there is no distance."""
    size = abs(distance)
    if not sum(variances) > 0:
        return 0.0 if size > 0 else np.nan

    def excess(log: float) -> float:
        return half_width(variances, freedom, float(np.exp(log))) - size

    smallest = -300.0  # 1e-130; below it the squared quantile of one degree of freedom is no float
    return float(np.exp(brentq(excess, smallest, 0.0))) if excess(smallest) > 0 else 0.0


def effect(
    a: pd.DataFrame,
    b: pd.DataFrame,
    metric: str,
    relative: bool = False,
    most: float = np.inf,
    weight: str | None = None,
) -> Effect:
    """Compare two methods' per-image tables (columns seed, site, subject, record, the metric) on their common images.

    A subject is (site, subject). Only seeds that both methods have are counted. weight: a column of a, of what each
    image counts, 1 on average; without it all count 1.
    """
    return effect_on(Common(a, b, weight).of(metric), relative, most)


def effect_on(pairs: pd.DataFrame, relative: bool = False, most: float = np.inf) -> Effect:
    """Compare two methods on the images that both have a value of (`Common.of`)."""
    values = pairs[["a", "b"]].to_numpy(float)
    first, second, counts = sums(pairs)
    spread = float(np.ptp(values)) if len(values) else np.nan
    return effect_of(first, second, counts, spread, relative, most)


class Common:
    """The images that two methods' per-image tables have in common, as of `effect`; matched once for all metrics."""

    def __init__(self, a: pd.DataFrame, b: pd.DataFrame, weight: str | None = None) -> None:
        self.a, self.b = a, b
        keys = [key for key in KEYS if key in a]
        first = a[keys].assign(n=a[weight] if weight else 1.0, row_a=np.arange(len(a)))
        both = first.merge(b[keys].assign(row_b=np.arange(len(b))), on=keys)
        self.row_a, self.row_b = both.pop("row_a").to_numpy(), both.pop("row_b").to_numpy()
        self.images = both.assign(unit=both.groupby(["site", "subject"]).ngroup())

    def of(self, metric: str) -> pd.DataFrame:
        """Those that both have a value of: keys, `unit`, the subject's number, `n`, what each counts, `a` and `b`."""
        a, b = self.a[metric].to_numpy()[self.row_a], self.b[metric].to_numpy()[self.row_b]
        return self.images.assign(a=a, b=b).dropna(subset=["a", "b"])


def sums(pairs: pd.DataFrame) -> list[Floats]:
    """Sums over images of a and b, as each counts, and of what they count, each (seeds, subjects)."""
    counted = pairs.assign(a=pairs["a"] * pairs["n"], b=pairs["b"] * pairs["n"])
    cells = counted.groupby(["seed", "unit"])[["a", "b", "n"]].sum()
    (seeds, rows), (subjects, columns) = (_numbered(cells.index.get_level_values(name)) for name in ("seed", "unit"))
    found = np.zeros((3, seeds, subjects))
    found[:, rows, columns] = cells.to_numpy(float).T
    return list(found)


def _numbered(names: pd.Index) -> tuple[int, NDArray[np.intp]]:
    """How many different names there are, and the number of each, in the order in which they come."""
    codes, known = pd.factorize(names)
    return len(known), codes


def effect_of(
    first: Floats, second: Floats, counts: Floats, spread: float, relative: bool = False, most: float = np.inf
) -> Effect:
    """Compare two methods by their sums over images (seeds, subjects) and the number of images of each sum."""
    totals = np.stack([first, second])
    n = counts.sum()
    seeds, subjects = counts.shape if n else (0, 0)
    means = totals.sum((1, 2)) / n if n else np.full(2, np.nan)
    none = np.full((2, 2), np.nan)
    sizes = {"seeds": seeds, "subjects": subjects, "images": round(counts.sum(1).max()) if n else 0}
    if seeds < 2 or subjects < 2:
        return Effect(means, none, none, none, np.nan, np.nan, **sizes, spread=spread, relative=relative, most=most)
    parts, freedom = covariances(totals, counts)
    return Effect(means, *parts, *freedom, **sizes, spread=spread, relative=relative, most=most)


def covariances(totals: Floats, counts: Floats) -> tuple[tuple[Floats, Floats, Floats], tuple[float, float]]:
    """Covariances of means over images, from sums (variables, seeds, subjects): of seeds, of subjects, residual.

    Seeds' and subjects' parts both contain the residual; it is taken from the subjects', so that it counts once.
    """
    seeds, subjects, rest = contributions(totals, counts)
    residual = np.einsum("asj,bsj->ab", rest, rest)
    weights = counts / counts.sum()
    freedoms = freedom(weights.sum(1)), freedom(weights.sum(0))
    return (seeds @ seeds.T, subjects @ subjects.T - residual, residual), freedoms


def contributions(totals: Floats, counts: Floats) -> tuple[Floats, Floats, Floats]:
    """What each seed, each subject, and both together add to the error of a mean over images.

    Of sums (..., seeds, subjects) and the number of images of each, of the same shape or (seeds, subjects); the sum of
    the squares of each estimates a variance. Analysis of variance of the weighted mean: a unit of large weight w pulls
    the mean towards itself, so that the variance of its deviation is too small by 1 - 2 w + sum w^2, which is
    divided out (R. M. Bell and D. F. McCaffrey, Surv. Methodol. 28, 2002).
    """
    n = counts.sum((-2, -1), keepdims=True)
    weights = counts / n
    deviation = (totals - totals.sum((-2, -1), keepdims=True) * weights) / n
    by_seed, by_subject = deviation.sum(-1, keepdims=True), deviation.sum(-2, keepdims=True)
    of_seed, of_subject = weights.sum(-1, keepdims=True), weights.sum(-2, keepdims=True)
    rest = deviation - by_seed * of_subject - by_subject * of_seed
    root_seed, root_subject = np.sqrt(shrinkage(of_seed, -2)), np.sqrt(shrinkage(of_subject, -1))
    return (by_seed / root_seed)[..., 0], (by_subject / root_subject)[..., 0, :], rest / (root_seed * root_subject)


def shrinkage(weights: Floats, axis: int = -1) -> Floats:
    """Variance of a unit's deviation from the weighted mean, over the unit's own variance."""
    return 1 - 2 * weights + (weights**2).sum(axis, keepdims=True)


def freedom(weights: Floats) -> float:
    """Degrees of freedom of the variance of a weighted mean of equally variable units; n - 1 for equal weights.

    Satterthwaite's, by R. M. Bell and D. F. McCaffrey (Surv. Methodol. 28, 2002).
    """
    total = (weights**2).sum()
    scale = weights**2 / shrinkage(weights)
    products = np.eye(len(weights)) - weights[:, None] - weights + total
    return float(total**2 / (scale[:, None] * scale * products**2).sum())
