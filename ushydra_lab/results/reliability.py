"""What a predicted uncertainty is worth: whom to refer, how wide an interval is, how well it follows the error.

Everywhere: a row that lacks its error or uncertainty is left out, and the order of the rows changes no bit of a result.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import betabinom, rankdata, spearmanr

from ushydra_lab.results.clustered import Clustered, clustered_share

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Aurc:
    """Area under the risk-coverage curve, in the error's unit; smaller is better.

    oracle: of an uncertainty that ranks as the errors do; random: expected of one that knows nothing, the mean error.
    """

    aurc: float
    oracle: float
    random: float
    n: int


@dataclass(frozen=True)
class Coverage:
    """Share of n errors of some subjects within their intervals, low and high: its 95 % interval; NaN for none.

    half_width: mean over the n errors, in their unit.
    """

    share: float
    low: float
    high: float
    half_width: float
    n: int
    subjects: int


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho and its two-sided p over n pairs; NaN for fewer than three or where one side never varies."""

    rho: float
    p: float
    n: int


def _paired(error: ArrayLike, uncertainty: ArrayLike) -> tuple[Floats, Floats]:
    """Known pairs, the most certain first and equally certain ones by their error."""
    size, doubt = np.asarray(error, float), np.asarray(uncertainty, float)
    if size.ndim != 1 or size.shape != doubt.shape:
        raise ValueError(f"expected an uncertainty for each error, got shapes {size.shape} and {doubt.shape}")
    if (size < 0).any():
        raise ValueError("errors must be absolute, found negative ones")
    known = ~(np.isnan(size) | np.isnan(doubt))
    size, doubt = size[known], doubt[known]
    order = np.lexsort((size, doubt))
    return size[order], doubt[order]


def _risk(error: Floats, uncertainty: Floats) -> Floats:
    """Mean error of the k most certain, k = 1 ... n. A tie's expected error is its mean, whatever of it is kept."""
    _, tie, size = np.unique(uncertainty, return_inverse=True, return_counts=True)
    expected = (np.bincount(tie, error) / size)[tie]
    return np.cumsum(expected) / np.arange(1, len(error) + 1)


def risk_coverage(error: ArrayLike, uncertainty: ArrayLike) -> pd.DataFrame:
    """Columns `coverage`, k/n, `risk`, the mean error of the k most certain images, and `oracle`, of the k best ones.

    R. El-Yaniv and Y. Wiener, On the foundations of noise-free selective classification, JMLR 11, 2010. Among equally
    uncertain images the risk is the expected one of a random order. error: absolute, (N,), as is `uncertainty`.
    Raises ValueError: shapes that do not fit, a negative error.
    """
    error, uncertainty = _paired(error, uncertainty)
    n, best = len(error), np.sort(error)
    coverage = np.arange(1, n + 1) / max(n, 1)
    return pd.DataFrame({"coverage": coverage, "risk": _risk(error, uncertainty), "oracle": _risk(best, best)})


def aurc(error: ArrayLike, uncertainty: ArrayLike) -> Aurc:
    """Mean risk over the coverages 1/n ... 1 of `risk_coverage`, whose errors it raises; NaN without images.

    Y. Geifman, G. Uziel and R. El-Yaniv, Bias-reduced uncertainty estimation for deep neural classifiers, ICLR 2019;
    their excess (E-AURC) is `aurc - oracle`.
    """
    curve = risk_coverage(error, uncertainty)
    if curve.empty:
        return Aurc(np.nan, np.nan, np.nan, 0)
    random = float(curve["risk"].iloc[-1])
    return Aurc(float(curve["risk"].mean()), float(curve["oracle"].mean()), random, len(curve))


def conformal_scores(error: ArrayLike, uncertainty: ArrayLike | None = None) -> Floats:
    """|error|, (N,), or |error| / uncertainty: how many times its uncertainty an image's interval must reach.

    The second kind makes locally weighted intervals (Lei et al. 2018, section 5.2). With uncertainty 0 an error needs
    an infinite factor and no error none. NaN where one is missing. Raises ValueError: a negative uncertainty.
    """
    size = np.abs(np.asarray(error, float))
    if uncertainty is None:
        return size
    scale = np.asarray(uncertainty, float)
    if (scale < 0).any():
        raise ValueError("uncertainties to divide by must not be negative")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((size == 0) & (scale == 0), 0.0, size / scale)


def _rank(n: int, alpha: float) -> int:
    return ceil((n + 1) * (1 - Fraction(str(alpha))))  # in binary 10 * (1 - 0.7) exceeds 3


def coverage(error: ArrayLike, half_width: ArrayLike, subjects: ArrayLike) -> Coverage:
    """How many errors (N,), signed or not, lie within intervals of these half-widths (N,) or of one.

    The half-width is `conformal.conformal_quantile` of plain scores, or of weighted ones times the uncertainty.
    subjects: (N,), the units of the interval, `clustered_share`.
    """
    size = np.abs(np.asarray(error, float))
    width = np.broadcast_to(np.asarray(half_width, float), size.shape)
    known = ~(np.isnan(size) | np.isnan(width))
    found = clustered_share((size <= width)[known], np.asarray(subjects)[known])
    mean = float(np.sort(width[known]).mean()) if known.any() else np.nan
    return Coverage(found.value, found.low, found.high, mean, found.images, found.subjects)


def fpr95(usual: ArrayLike, unusual: ArrayLike, subjects: ArrayLike) -> Clustered:
    """Share of unusual images, of these subjects, that pass as usual where 95 % of the usual ones do; lower is better.

    S. Liang, Y. Li and R. Srikant, Enhancing the reliability of out-of-distribution image detection in neural
    networks, ICLR 2018. Higher scores are more unusual; the threshold is the smallest score that 95 % of the usual
    images do not exceed. The interval takes that threshold for given.
    """
    known = np.sort(np.asarray(usual, float))
    known, score = known[~np.isnan(known)], np.asarray(unusual, float)
    if not len(known):
        return clustered_share([], [])
    threshold = known[ceil(Fraction("0.95") * len(known)) - 1]
    return clustered_share(np.where(np.isnan(score), np.nan, score <= threshold), subjects)


def chance_of_coverage(share: float, tested: int, calibrated: int, alpha: float) -> float:
    """p, one-sided: how likely intervals calibrated on n exchangeable subjects cover so few of as many others.

    The number covered is beta-binomial, its Beta(k, n + 1 - k) the coverage of intervals at the k-th smallest of n
    scores (V. Vovk, Conditional validity of inductive conformal predictors, ACML 2012): chance is who calibrated and
    who was tested. share: of `tested`, rounded up to a count; a mean over each subject's images or over runs varies
    less than that. 1 where all intervals are infinite or nobody was tested.
    """
    rank = _rank(calibrated, alpha)
    if rank > calibrated or not tested:
        return 1.0
    return float(betabinom.cdf(ceil(round(share * tested, 6)), tested, rank, calibrated + 1 - rank))


def uncertainty_correlation(error: ArrayLike, uncertainty: ArrayLike) -> Correlation:
    """Spearman's rank correlation of uncertainty with absolute error. Raises ValueError as `risk_coverage` does."""
    error, uncertainty = _paired(error, uncertainty)
    if len(error) < 3 or np.ptp(error) == 0 or np.ptp(uncertainty) == 0:
        return Correlation(np.nan, np.nan, len(error))
    found = spearmanr(error, uncertainty)
    return Correlation(float(found.statistic), float(found.pvalue), len(error))


def calibration_table(error: ArrayLike, uncertainty: ArrayLike, bins: int = 10) -> pd.DataFrame:
    """Columns `bin`, 1 the most certain, `n`, and the means `uncertainty` and `error`, of bins of equally many images.

    Equally uncertain images share a bin, by their mean rank; a bin that so loses all its images has no row.
    Raises ValueError as `risk_coverage` does.
    """
    error, uncertainty = _paired(error, uncertainty)
    number = np.ceil(rankdata(uncertainty) * bins / max(len(error), 1)).astype(int)
    table = pd.DataFrame({"bin": number, "uncertainty": uncertainty, "error": error})
    means = table.groupby("bin").agg(n=("error", "size"), uncertainty=("uncertainty", "mean"), error=("error", "mean"))
    return means.reset_index()


def reliability_curve(confidence: ArrayLike, correct: ArrayLike, subjects: ArrayLike, bins: int = 10) -> pd.DataFrame:
    """Columns `n`, mean `confidence`, `accuracy` and its interval `low` to `high` by subjects, of bins of equal counts.

    Bins as of `clustered_calibration`: by rank, equal confidences in one bin. Images without either are left out.
    """
    table = pd.DataFrame({"confidence": np.asarray(confidence, float), "correct": np.asarray(correct, float)})
    table = table.assign(subject=np.asarray(subjects)).dropna(subset=["confidence", "correct"])
    number = np.ceil(rankdata(table["confidence"]) * bins / max(len(table), 1)).astype(int)
    rows = []
    for _, own in table.groupby(number):
        found = clustered_share(own["correct"], own["subject"])
        mean = {"n": found.images, "confidence": own["confidence"].mean(), "accuracy": found.value}
        rows.append(mean | {"low": found.low, "high": found.high})
    return pd.DataFrame(rows, columns=["n", "confidence", "accuracy", "low", "high"])
