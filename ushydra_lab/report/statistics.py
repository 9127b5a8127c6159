"""The statistics of every table: spread over seeds, and paired comparison of two methods on the same images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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

    change: b's mean minus a's, in per cent of a's mean if `relative`; low, high: its 95 % interval; p: two-sided
    Wilcoxon signed-rank test on the subjects' mean differences. NaN where undefined.
    """

    change: float
    low: float
    high: float
    p: float
    subjects: int
    seeds: int


def spread(images: pd.DataFrame, metric: str) -> Spread:
    """Mean over images within each seed, then mean and SD over seeds."""
    per_seed = images.groupby("seed")[metric].mean().dropna()
    return Spread(
        per_seed.mean(), per_seed.std(ddof=1), len(per_seed), int(images.groupby("seed")[metric].count().max())
    )


def compare(a: pd.DataFrame, b: pd.DataFrame, metric: str, relative: bool, resamples: int = 5000) -> Comparison:
    """Paired comparison of two methods' per-image tables (columns seed, site, subject, record and the metric).

    The interval is a percentile bootstrap that draws seeds and, independently, subjects with replacement, since the
    same subjects return under every seed; a subject is (site, subject).
    """
    keys = [key for key in ("fold", "seed", "site", "subject", "record") if key in a]
    pairs = a[[*keys, metric]].merge(b[[*keys, metric]], on=keys, suffixes=("_a", "_b")).dropna()
    if pairs.empty:
        return Comparison(np.nan, np.nan, np.nan, np.nan, 0, 0)
    cells = pairs.assign(n=1).groupby(["seed", "site", "subject"])[[f"{metric}_a", f"{metric}_b", "n"]].sum()
    first, second, counts = (cells[column].unstack(["site", "subject"]).fillna(0).to_numpy() for column in cells)
    drawn = _bootstrap(first, second, counts, relative, resamples)
    low, high = np.percentile(drawn, [2.5, 97.5]) if np.isfinite(drawn).all() else (np.nan, np.nan)
    per_subject = (second.sum(0) - first.sum(0)) / counts.sum(0)
    p = float(wilcoxon(per_subject).pvalue) if np.any(per_subject) else np.nan
    change = float(_change(first.sum(), second.sum(), counts.sum(), relative))
    return Comparison(change, float(low), float(high), p, len(per_subject), len(first))


def _change(total_a: Any, total_b: Any, count: Any, relative: bool) -> Any:
    with np.errstate(invalid="ignore", divide="ignore"):
        return 100 * (np.asarray(total_b) - total_a) / total_a if relative else (total_b - total_a) / count


def _bootstrap(first: Floats, second: Floats, counts: Floats, relative: bool, resamples: int) -> Floats:
    """Changes over resampled seeds (rows) and subjects (columns); a draw without any image is left out."""
    rng = np.random.default_rng(0)
    seeds, subjects = first.shape
    rows = rng.multinomial(seeds, np.full(seeds, 1 / seeds), resamples)
    columns = rng.multinomial(subjects, np.full(subjects, 1 / subjects), resamples)
    totals = [np.einsum("bs,sj,bj->b", rows, x, columns, optimize=True) for x in (first, second, counts)]
    filled = totals[2] > 0
    changes: Floats = _change(totals[0][filled], totals[1][filled], totals[2][filled], relative)
    return changes


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
