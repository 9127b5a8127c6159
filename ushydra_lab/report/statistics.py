"""The statistics of every table: spread over seeds, and paired comparison of two methods on the same images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import wilcoxon

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """Mean and SD (ddof 1) over seeds of the mean over images; NaN SD for one seed."""

    mean: float
    sd: float
    seeds: int
    images: int


@dataclass(frozen=True)
class Comparison:
    """Method b against method a on the same images and seeds.

    change: mean difference b - a; relative: in per cent of a's mean; low, high: 95 % interval of `relative`;
    p: two-sided Wilcoxon signed-rank test on the subjects' mean differences (NaN where it is undefined).
    """

    change: float
    relative: float
    low: float
    high: float
    p: float
    subjects: int
    seeds: int


def spread(images: pd.DataFrame, metric: str) -> Spread:
    """Mean over images within each seed, then mean and SD over seeds."""
    per_seed = images.groupby("seed")[metric].mean().dropna()
    return Spread(per_seed.mean(), per_seed.std(ddof=1), len(per_seed), int(images.groupby("seed")[metric].count().max()))


def worst_site(images: pd.DataFrame, metric: str, lower_is_better: bool) -> tuple[str, float]:
    """The site with the worst mean (over seeds of the mean over images), and that mean."""
    means = images.groupby(["site", "seed"])[metric].mean().groupby("site").mean()
    return (means.idxmax(), means.max()) if lower_is_better else (means.idxmin(), means.min())


def compare(a: pd.DataFrame, b: pd.DataFrame, metric: str, resamples: int = 5000) -> Comparison:
    """Paired comparison of two methods' per-image tables (columns seed, site, subject, record and the metric).

    The interval is a percentile bootstrap that draws seeds and, independently, subjects with replacement, since the
    same subjects return under every seed; a subject is (site, subject).
    """
    keys = ["seed", "site", "subject", "record"]
    pairs = a[[*keys, metric]].merge(b[[*keys, metric]], on=keys, suffixes=("_a", "_b")).dropna()
    if pairs.empty:
        nan = float("nan")
        return Comparison(nan, nan, nan, nan, nan, 0, 0)
    cells = pairs.assign(n=1).groupby(["seed", "site", "subject"])[[f"{metric}_a", f"{metric}_b", "n"]].sum()
    first, second, counts = (cells[column].unstack(["site", "subject"]).fillna(0).to_numpy() for column in cells)
    per_subject = (second.sum(0) - first.sum(0)) / counts.sum(0)
    mean_a, mean_b = first.sum() / counts.sum(), second.sum() / counts.sum()
    relative = 100 * (mean_b - mean_a) / mean_a
    low, high = np.nanpercentile(_bootstrap_relative(first, second, resamples), [2.5, 97.5])
    p = float(wilcoxon(per_subject).pvalue) if len(per_subject) > 1 and np.any(per_subject) else float("nan")
    return Comparison(mean_b - mean_a, relative, low, high, p, len(per_subject), len(first))


def _bootstrap_relative(first: Floats, second: Floats, resamples: int) -> Floats:
    """Relative changes in per cent over resampled seeds (rows) and subjects (columns)."""
    rng = np.random.default_rng(0)
    seeds, subjects = first.shape
    rows = rng.multinomial(seeds, np.full(seeds, 1 / seeds), resamples)
    columns = rng.multinomial(subjects, np.full(subjects, 1 / subjects), resamples)
    total_a = np.einsum("bs,sj,bj->b", rows, first, columns, optimize=True)
    total_b = np.einsum("bs,sj,bj->b", rows, second, columns, optimize=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative: Floats = 100 * (total_b - total_a) / total_a
    return relative


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down adjustment; NaN stays NaN and is not counted."""
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full_like(p, np.nan)
    order = [i for i in np.argsort(p) if not np.isnan(p[i])]
    running = 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, float(p[i]) * (len(order) - rank)))
        adjusted[i] = running
    return adjusted.tolist()
