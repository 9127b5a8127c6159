"""Infinite values bounded by the furthest finite one, and images that one method lost counted as its worst."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ushydra_lab.results.crossed import KEYS, Effect, effect


@dataclass(frozen=True)
class Lost:
    """Method b against method a where they lack values of different images.

    common: on the images that both have. imputed: every image that either has, a lost one counting as the worst value
    of any image of the two (A. Reinke et al., Understanding metric-related pitfalls in image analysis validation, Nat.
    Methods 21, 2024). lost_by_a, lost_by_b: image values of all seeds.
    """

    common: Effect
    imputed: Effect
    lost_by_a: int
    lost_by_b: int

    @property
    def agrees(self) -> bool:
        """Whether both point the same way."""
        return bool(np.sign(self.common.change) == np.sign(self.imputed.change))


def bounded(images: pd.DataFrame, metrics: Iterable[str]) -> tuple[pd.DataFrame, dict[str, int]]:
    """Replace infinite values, such as the PSNR of a perfect reconstruction, by the furthest finite one of that column.

    An image that is better than all others so remains among the best, and its mean stays a number. Returns the table
    and how many values of each metric were replaced. Give it the images of all methods together, so that the same
    bound holds for all; a column without any finite value loses its infinite ones.
    """
    found, replaced = images.copy(), {}
    for metric in metrics:
        values = images[metric].to_numpy(float)
        infinite, finite = np.isinf(values), values[np.isfinite(values)]
        if infinite.any():
            ends = (finite.min(), finite.max()) if len(finite) else (np.nan, np.nan)
            found[metric] = np.where(infinite, np.where(values > 0, ends[1], ends[0]), values)
            replaced[metric] = int(infinite.sum())
    return found, replaced


def lost(
    a: pd.DataFrame,
    b: pd.DataFrame,
    metric: str,
    better: Literal["higher", "lower"],
    relative: bool = False,
    most: float = np.inf,
) -> Lost:
    """Compare on common images and with the worst value for those that one method lost.

    An image whose row is there without a value is lost, as is one without a row under a seed that the method has.
    Images that no method has a value of are in neither comparison.
    """
    sides = [side.dropna(subset=[metric]) for side in (a, b)]
    keys = [key for key in KEYS if key in a]
    seeds = set(a["seed"]) & set(b["seed"])
    sides = [side[side["seed"].isin(seeds)] for side in sides]
    every = pd.concat([side[keys] for side in sides]).drop_duplicates()
    values = pd.concat([side[metric] for side in sides])
    worst = values.min() if better == "higher" else values.max()
    full = [every.merge(side[[*keys, metric]], how="left", on=keys) for side in sides]
    missing = [int(side[metric].isna().sum()) for side in full]
    first, second = (side.fillna({metric: worst}) for side in full)
    return Lost(effect(a, b, metric, relative, most), effect(first, second, metric, relative, most), *missing)
