"""Conformal bounds for images of a unit that nobody has seen, a subject or a site: units are the sample, not images."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, inf

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
EXACT = 1e-9
"""Summed weights are as exact as that."""


def units_needed(alpha: float) -> int:
    """How many calibrating units a finite bound takes, 1 / alpha - 1 rounded up: 9 for 90 %.

    With fewer, a new one is among the worst alpha of all by chance alone. Raises ValueError: alpha outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    return ceil(1 / Fraction(str(alpha)) - 1)


def conformal_quantile(scores: ArrayLike, units: ArrayLike, alpha: float) -> float:
    """The bound that holds a random image of a new unit with probability 1 - alpha; inf of fewer than `units_needed`.

    The (1 - alpha)-quantile of the scores of K units, each with the weight 1 / (K + 1) however many images it has, and
    of infinity with the weight 1 / (K + 1), which stands for the new one: hierarchical conformal prediction of Y. Lee,
    R. F. Barber and R. Willett, Distribution-free inference with hierarchical data (arXiv 2306.06342). With one image a
    unit it is split conformal prediction (J. Lei, M. G'Sell, A. Rinaldo, R. J. Tibshirani and L. Wasserman, JASA 113,
    2018, algorithm 2). It holds if the new unit and the K are exchangeable, as hospitals drawn from one population are,
    or subjects of the same hospitals, whatever the dependence of images within a unit.

    scores: (N,), of a network that has not been trained on the unit of the image; units: (N,), its subject or site. NaN
    scores are left out. Raises ValueError: shapes that do not fit, alpha outside (0, 1).
    """
    score, unit = np.asarray(scores, float), np.asarray(units)
    if score.ndim != 1 or score.shape != unit.shape:
        raise ValueError(f"expected a unit for each score, got shapes {score.shape} and {unit.shape}")
    known = ~np.isnan(score)
    _, member, images = np.unique(unit[known], return_inverse=True, return_counts=True)
    if len(images) < units_needed(alpha):
        return inf
    order = np.argsort(score[known], kind="stable")
    reached = np.cumsum(1 / ((len(images) + 1) * images[member][order]))
    return float(score[known][order][np.searchsorted(reached, 1 - alpha - EXACT)])
