"""Whether errors at several sites look like draws from one population: a permutation test of subjects."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
PERMUTATIONS = 1999
FEWEST = 4
"""Subjects of a site: with fewer, its variance says nothing."""


def exchangeability(scores: ArrayLike, sites: ArrayLike, subjects: ArrayLike) -> float:
    """p of the hypothesis that the scores of all sites are exchangeable; NaN for fewer than two sites to compare.

    A subject's value is the mean of its images' ranks among all images. Subjects are permuted over the sites, and the
    statistic is Wald's, sum over sites of n (mean - weighted mean of all)^2 / variance: the permutation test of
    M. Pauly, E. Brunner and F. Konietschke (J. R. Stat. Soc. B 77, 2015), which is exact where sites are alike in
    everything and keeps its level for many subjects where they have the same mean rank but, with other numbers of
    images a subject, another variance. The permutations are always the same.

    scores, sites, subjects: (N,), a subject belongs to its site alone. NaN scores, and sites with fewer than FEWEST
    subjects, are left out.
    """
    known = ~np.isnan(np.asarray(scores, float))
    means, site = _subject_means(*(np.asarray(one)[known] for one in (scores, sites, subjects)))
    enough = np.bincount(site)[site] >= FEWEST if len(site) else np.zeros(0, bool)
    means, (number, names) = means[enough], pd.factorize(site[enough])
    if len(names) < 2:
        return np.nan
    drawn = np.random.default_rng(0).permuted(np.tile(means, (PERMUTATIONS, 1)), axis=1)
    found = _wald(np.vstack([means, drawn]), number)
    return float((1 + (found[1:] >= found[0] * (1 - 1e-9)).sum()) / (PERMUTATIONS + 1))


def _subject_means(scores: Floats, sites: ArrayLike, subjects: ArrayLike) -> tuple[Floats, NDArray[np.intp]]:
    """The mean rank of each subject's images, and the number of its site; in an order that rows do not change."""
    site, person = (pd.factorize(np.asarray(one), sort=True)[0] for one in (sites, subjects))
    pairs, member = np.unique(np.column_stack([site, person]), axis=0, return_inverse=True)
    return np.bincount(member, rankdata(scores)) / np.bincount(member), pairs[:, 0]


def _wald(values: Floats, site: NDArray[np.int64]) -> Floats:
    """The statistic of each row of values (rows, subjects)."""
    member = np.eye(site.max() + 1)[site]
    n = member.sum(0)
    mean = values @ member / n
    variance = np.maximum((values**2 @ member - n * mean**2) / (n - 1), 1e-12)
    weight = n / variance
    centre = (weight * mean).sum(1, keepdims=True) / weight.sum(1, keepdims=True)
    return (weight * (mean - centre) ** 2).sum(1)
