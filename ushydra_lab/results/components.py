"""Where a metric's variance comes from: seeds, splits, subjects, images, and the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
FACTORS: dict[str, tuple[str, ...]] = {
    "seed": ("seed",),
    "split": ("split",),
    "subject": ("site", "subject"),
    "image": ("site", "subject", "record"),
}
RESIDUAL = "residual"


def variance_components(images: pd.DataFrame, metric: str) -> dict[str, float]:
    """Variance of one method's metric by seed, split (where that is a column), subject, image and residual.

    Model: mean + seed + split + subject + image within subject + residual, all random and the first three crossed;
    the residual is what one training does to one image. Estimated by the analysis of variance (Henderson's method 1,
    S. R. Searle, Linear Models, 1971, chapter 10): unbiased for any numbers of images, so that an estimate may be
    negative, which means none. A factor that the data cannot tell from another is NaN: one seed, a split that is
    another for every seed, one image of each subject (then it is the subject's), images seen by one seed (then the
    image's is the residual).
    """
    known = images.dropna(subset=[metric])
    present = {name: list(keys) for name, keys in FACTORS.items() if set(keys) <= set(known)}
    codes: dict[str, Codes] = {name: np.asarray(known.groupby(keys).ngroup()) for name, keys in present.items()}
    usable = _separable(codes)
    found = henderson(known[metric].to_numpy(float), [codes[name] for name in usable])
    estimates = dict(zip([*usable, RESIDUAL], found, strict=True))
    return {name: estimates.get(name, np.nan) for name in [*codes, RESIDUAL]}


def shares(components: Mapping[str, float]) -> dict[str, float]:
    """Each part of their sum, in which a negative estimate is 0; NaN stays NaN."""
    parts = {name: max(value, 0.0) if value == value else np.nan for name, value in components.items()}
    whole = np.nansum(list(parts.values()))
    return {name: float(value / whole) if whole > 0 else np.nan for name, value in parts.items()}


def _separable(codes: Mapping[str, Codes]) -> list[str]:
    """Factors with more than one level that split the values otherwise than an earlier one, and not singly."""
    kept: list[str] = []
    for name, code in codes.items():
        if 1 < len(np.unique(code)) < len(code) and not any(_alike(code, codes[other]) for other in kept):
            kept.append(name)
    return kept


def _alike(first: Codes, second: Codes) -> bool:
    """Whether two factors group the values in the same way."""
    pairs = np.unique(np.stack([first, second]), axis=1).shape[1]
    return len(np.unique(first)) == len(np.unique(second)) == pairs


def henderson(values: Floats, factors: Sequence[Codes]) -> Floats:
    """Variance of each factor (codes (N,)) and of the residual, from values (N,); NaN where they cannot be told apart.

    The expectation of each factor's sum of squared level totals over their counts is linear in the variances.
    """
    n = len(values)
    if n < 2:
        return np.full(len(factors) + 1, np.nan)
    groups = [np.zeros(n, np.int64), *factors, np.arange(n)]
    centred = values - values.mean()
    squares, table = [], []
    for group in groups:
        count = np.bincount(group)
        squares.append(float((np.bincount(group, centred)[count > 0] ** 2 / count[count > 0]).sum()))
        table.append([_expected(group, count, factor) for factor in [*factors, np.arange(n)]])
    left, right = np.array(table), np.array(squares)
    try:
        return np.linalg.solve(left[1:] - left[0], right[1:] - right[0])
    except np.linalg.LinAlgError:
        return np.full(len(factors) + 1, np.nan)


def _expected(group: Codes, count: Codes, factor: Codes) -> float:
    """How much of a factor's variance the sum of squared totals of a grouping contains."""
    pairs, number = np.unique(np.stack([group, factor]), axis=1, return_counts=True)
    return float((number**2 / count[pairs[0]]).sum())
