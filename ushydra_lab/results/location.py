"""Mean, median and trimmed mean of a metric, and the images that pull the mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import trim_mean

TRIMMED, MOVES = 0.1, 0.1


@dataclass(frozen=True)
class Location:
    """Of n images, the seeds of each averaged: mean, median, and the mean without the tenth at either end.

    movers: record of each image without which the mean would differ by more than a tenth of itself, and that mean; the
    one that moves it furthest first. No interval of the median is given: the usual bootstrap's does not keep its level.
    """

    mean: float
    median: float
    trimmed: float
    movers: dict[object, float]
    n: int


def location(images: pd.DataFrame, metric: str) -> Location:
    """Location of one method's metric in a per-image table with columns site, record and the metric."""
    values = images.groupby(["site", "record"])[metric].mean().dropna()
    n = len(values)
    if not n:
        return Location(np.nan, np.nan, np.nan, {}, 0)
    mean = float(values.mean())
    without = (values.sum() - values) / (n - 1) if n > 1 else values * np.nan
    moved = (without - mean).abs().sort_values(ascending=False, kind="stable")
    moved = moved[moved > MOVES * abs(mean)]
    movers = {record: float(without[site, record]) for site, record in moved.index}
    return Location(mean, float(values.median()), float(trim_mean(values, TRIMMED)), movers, n)
