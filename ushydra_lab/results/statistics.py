"""How a metric spreads over seeds."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Spread:
    """Mean and SD (ddof 1) over seeds of the mean over images; NaN SD for one seed."""

    mean: float
    sd: float
    seeds: int
    images: int


def spread(images: pd.DataFrame, metric: str) -> Spread:
    """Mean over images within each seed, then mean and SD over seeds."""
    per_seed = images.groupby("seed")[metric].mean().dropna()
    return Spread(
        per_seed.mean(), per_seed.std(ddof=1), len(per_seed), int(images.groupby("seed")[metric].count().max())
    )
