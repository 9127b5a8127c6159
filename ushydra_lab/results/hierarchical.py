"""Conformal bounds for images of a site that nobody has seen: the sites are the sample, not their images."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, inf

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
EXACT = 1e-9
"""Summed weights are as exact as that."""


def sites_needed(alpha: float) -> int:
    """How many calibrating sites a finite bound takes, 1 / alpha - 1 rounded up: 9 for 90 %.

    With fewer, a new site is among the worst alpha of all by chance alone. Raises ValueError: alpha outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    return ceil(1 / Fraction(str(alpha)) - 1)


def hierarchical_quantile(scores: ArrayLike, sites: ArrayLike, alpha: float) -> float:
    """The bound that holds a random image of a new site with probability 1 - alpha; inf of fewer than `sites_needed`.

    The (1 - alpha)-quantile of the scores of K sites, each site with the weight 1 / (K + 1) however many images it has,
    and of infinity with the weight 1 / (K + 1), which stands for the new site: hierarchical conformal prediction of
    Y. Lee, R. F. Barber and R. Willett, Distribution-free inference with hierarchical data (arXiv 2306.06342); with one
    image a site it is split conformal prediction. It holds if the new site and the K are exchangeable, as hospitals
    drawn from one population are, whatever the dependence of images within a site.

    scores: (N,), of a network that has not seen the site of the image; sites: (N,). NaN scores are left out. Raises
    ValueError: shapes that do not fit, alpha outside (0, 1).
    """
    score, site = np.asarray(scores, float), np.asarray(sites)
    if score.ndim != 1 or score.shape != site.shape:
        raise ValueError(f"expected a site for each score, got shapes {score.shape} and {site.shape}")
    known = ~np.isnan(score)
    _, member, images = np.unique(site[known], return_inverse=True, return_counts=True)
    if len(images) < sites_needed(alpha):
        return inf
    order = np.argsort(score[known], kind="stable")
    reached = np.cumsum(1 / ((len(images) + 1) * images[member][order]))
    return float(score[known][order][np.searchsorted(reached, 1 - alpha - EXACT)])
