"""Means, shares, AUROC and calibration error with intervals for images clustered in subjects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta, norm, rankdata, t

from ushydra_lab.results.crossed import freedom, shrinkage

Floats = NDArray[np.float64]
BINS, RESAMPLES = 10, 1000


@dataclass(frozen=True)
class Clustered:
    """A figure over n images of some subjects and its 95 % interval; NaN where undefined."""

    value: float
    low: float
    high: float
    images: int
    subjects: int


def clustered_mean(values: ArrayLike, subjects: ArrayLike) -> Clustered:
    """Mean over images; the interval by Student's t, from the variance between subjects."""
    known, codes = _known(values, subjects)
    n, number = len(known), len(np.unique(codes))
    if number < 2:
        return Clustered(float(known.mean()) if n else np.nan, np.nan, np.nan, n, number)
    mean, reach = mean_and_reach(known, codes)
    return Clustered(mean, mean - reach, mean + reach, n, number)


def mean_and_reach(values: Floats, codes: NDArray[np.int64]) -> tuple[float, float]:
    """Mean over images of two subjects or more, numbered from 0, and half its 95 % interval."""
    weights = np.bincount(codes) / len(codes)
    mean = float(values.mean())
    deviation = np.bincount(codes, values - mean) / len(codes)
    error = float(np.sqrt((deviation**2 / shrinkage(weights)).sum()))
    return mean, float(t.isf(0.025, freedom(weights))) * error


def clustered_share(hits: ArrayLike, subjects: ArrayLike) -> Clustered:
    """Share of images that are 1 rather than 0, for example within their interval.

    The interval is Clopper and Pearson's for as many independent images as would have the variance between subjects
    (E. L. Korn and B. I. Graubard, Surv. Methodol. 24, 1998): at least as many as subjects, at most as many as images.
    Its degrees of freedom are those of the subjects with the rarer outcome, since they alone tell the variance.
    """
    known, codes = _known(hits, subjects)
    n, number = len(known), len(np.unique(codes))
    if number < 2:
        return Clustered(float(known.mean()) if n else np.nan, np.nan, np.nan, n, number)
    share, weights = float(known.mean()), np.bincount(codes) / n
    deviation = np.bincount(codes, known) / n - weights * share
    variance = float((deviation**2 / shrinkage(weights)).sum())
    least = 1 / float((weights**2).sum())
    rarer = min(len(np.unique(codes[known == outcome])) for outcome in (0, 1))
    quantile = t.isf(0.025, n - 1) / t.isf(0.025, max(1.0, min(rarer - 1, freedom(weights))))
    effective = share * (1 - share) / variance * quantile**2 if variance > 0 else least
    low, high = exact_share(share, float(np.clip(effective, least, n)))
    return Clustered(share, low, high, n, number)


def exact_share(share: float, n: float) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval of a share of n, which need not be whole."""
    hits = share * n
    low = beta.ppf(0.025, hits, n - hits + 1) if share > 0 else 0.0
    high = beta.ppf(0.975, hits + 1, n - hits) if share < 1 else 1.0
    return float(low), float(high)


def clustered_auroc(score: ArrayLike, positive: ArrayLike, subjects: ArrayLike) -> Clustered:
    """Area under the ROC curve of a score that is higher for positive images.

    Its variance from what each subject's images add (N. A. Obuchowski, Biometrics 53, 1997), the interval by Student's
    t on the logit. Degrees of freedom: those of the smaller class's subjects, or fewer by the fourth moment of what
    they add, halved because few subjects understate it: near 1 a few subjects make all the errors. Where the classes
    are parted without any overlap the interval is that of a share of which all are 1, of as many as there are subjects
    in the smaller class.
    """
    known = ~(np.isnan(np.asarray(score, float)) | np.isnan(np.asarray(positive, float)))
    values, truth = np.asarray(score, float)[known], np.asarray(positive, float)[known].astype(bool)
    codes = np.unique(np.asarray(subjects)[known], return_inverse=True)[1]
    n, number = len(values), len(np.unique(codes))
    ones, zeros = int(truth.sum()), int((~truth).sum())
    if not ones or not zeros:
        return Clustered(np.nan, np.nan, np.nan, n, number)
    placement = _placement(values, truth)
    area = float(placement[truth].mean())
    added = np.bincount(codes, (placement - area) / np.where(truth, ones, zeros))
    fewest = min(len(np.unique(codes[truth])), len(np.unique(codes[~truth])))
    if fewest < 2:
        return Clustered(area, np.nan, np.nan, n, number)
    error = float(np.sqrt(number / (number - 1) * (added**2).sum()))
    if area in (0.0, 1.0) or error == 0:
        return Clustered(area, *exact_share(area, fewest), n, number)
    peaked = number * (added**4).sum() / (added**2).sum() ** 2
    degrees = max(1.0, min(fewest - 1, number / (peaked - 1) if peaked > 1 else np.inf))
    half = float(t.isf(0.025, degrees)) * error / (area * (1 - area))
    logit = np.log(area / (1 - area))
    low, high = (float(1 / (1 + np.exp(-end))) for end in (logit - half, logit + half))
    return Clustered(area, low, high, n, number)


def area_of_images(score: ArrayLike, positive: ArrayLike) -> Floats:
    """A value per image, with a mean that is the AUROC and, weighted by `balanced`, a variance that is the AUROC's own.

    So two scores' areas are compared as two means are (E. R. DeLong et al., Biometrics 44, 1988; of subjects with
    several images N. A. Obuchowski's). NaN where one class has no image.
    """
    values, truth = np.asarray(score, float), np.asarray(positive, bool)
    if truth.all() or not truth.any():
        return np.full(len(values), np.nan)
    placement = _placement(values, truth)
    area = placement[truth].mean()
    return area + 2 * (placement - area)


def balanced(positive: ArrayLike) -> Floats:
    """The weight of each image of two classes by which each class counts half; their mean is 1.

    Unweighted, the few images of a small class would pass for as many as there are of both, in the variance and its
    degrees of freedom. NaN where one class has no image.
    """
    truth = np.asarray(positive, bool)
    if truth.all() or not truth.any():
        return np.full(len(truth), np.nan)
    return len(truth) / (2 * np.where(truth, truth.sum(), (~truth).sum()))


def _placement(values: Floats, truth: NDArray[np.bool_]) -> Floats:
    """Share of the images of the other class that each one is on the right side of."""
    return np.where(truth, _below(values, values[~truth]), 1 - _below(values, values[truth]))


def _below(values: Floats, others: Floats) -> Floats:
    """Share of the others below each value, ties counting half."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / 2 / len(others)


def clustered_calibration(confidence: ArrayLike, correct: ArrayLike, subjects: ArrayLike) -> Clustered:
    """Expected calibration error: how far confidence and accuracy are apart, over ten bins of equally many images.

    It is a weighted sum of absolute gaps, so that it is off by no more than the sum of what the gaps are off by; that
    is bounded by its 97.5 % quantile over resampled subjects, with Student's quantile for few subjects. Such an
    interval is wide, but does not miss because the error is biased upwards, as the usual bootstrap's does. Ten bins by
    rank, equal confidences in one bin; no interval where a bin holds a single subject, which tells no variance.
    """
    given, answers = np.asarray(confidence, float), np.asarray(correct, float)
    sure, codes = _known(np.where(np.isnan(answers), np.nan, given), subjects)
    right = answers[~np.isnan(given + answers)]
    n, number = len(sure), len(np.unique(codes))
    if number < 2:
        return Clustered(np.nan, np.nan, np.nan, n, number)
    bins = np.ceil(rankdata(sure) * BINS / n).astype(int) - 1
    gaps = np.zeros((number, BINS))
    np.add.at(gaps, (codes, bins), sure - right)
    counts = np.zeros((number, BINS))
    np.add.at(counts, (codes, bins), 1)
    value = float(np.abs(gaps.sum(0)).sum() / n)
    apart = gaps - counts * np.divide(gaps.sum(0), counts.sum(0), where=counts.sum(0) > 0, out=np.zeros(BINS))
    in_bin = (counts > 0).sum(0)
    if (in_bin == 1).any():
        return Clustered(value, np.nan, np.nan, n, number)
    in_bin = np.maximum(in_bin, 2)
    drawn = np.random.default_rng(0).multinomial(number, np.full(number, 1 / number), RESAMPLES)
    off = np.abs(drawn @ (apart * np.sqrt(in_bin / (in_bin - 1)))).sum(1) / n
    rarer = min(len(np.unique(codes[right == outcome])) for outcome in (0, 1))
    reach = float(np.quantile(off, 0.975) * t.isf(0.025, max(1, rarer - 1)) / norm.isf(0.025))
    return Clustered(value, max(0.0, value - reach), min(1.0, value + reach), n, number)


def _known(values: ArrayLike, subjects: ArrayLike) -> tuple[Floats, NDArray[np.int64]]:
    found = np.asarray(values, float)
    known = ~np.isnan(found)
    return found[known], np.unique(np.asarray(subjects)[known], return_inverse=True)[1]
