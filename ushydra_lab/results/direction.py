"""Whether the mean and the typical image change in the same direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon


@dataclass(frozen=True)
class Direction:
    """Method b against method a, the seeds of each image averaged.

    mean: b's mean minus a's. larger, smaller: how many images have a larger or smaller value with b. ranks: from -1 to
    1, the signed ranks of the subjects' mean differences (the matched-pairs rank-biserial correlation; D. S. Kerby,
    Compr. Psychol. 3, 2014); p: of the Wilcoxon signed-rank test, a description of these trainings and not a test of
    the methods, since it ignores the seeds.
    """

    mean: float
    larger: int
    smaller: int
    images: int
    ranks: float
    p: float

    @property
    def agrees(self) -> bool:
        """Whether neither the signed ranks nor the majority of images point the other way than the mean."""
        sign = np.sign(self.mean)
        return bool(sign * self.ranks >= 0 and sign * (self.larger - self.smaller) >= 0)


def direction(pairs: pd.DataFrame) -> Direction:
    """Direction of b against a on the images that both have a value of (`crossed.Common.of`)."""
    if pairs.empty:
        return Direction(np.nan, 0, 0, 0, np.nan, np.nan)
    images = (pairs["b"] - pairs["a"]).groupby([pairs["unit"], pairs["record"]]).mean()
    subjects = images.groupby("unit").mean().to_numpy()
    larger, smaller = int((images > 0).sum()), int((images < 0).sum())
    mean = float((pairs["b"] - pairs["a"]).mean())
    if not subjects.any():
        return Direction(mean, larger, smaller, len(images), 0.0, np.nan)
    tested = wilcoxon(subjects, alternative="two-sided")
    moved = subjects[subjects != 0]
    order = pd.Series(np.abs(moved)).rank().to_numpy()
    ranks = float((order * np.sign(moved)).sum() / order.sum())
    return Direction(mean, larger, smaller, len(images), ranks, float(tested.pvalue))
