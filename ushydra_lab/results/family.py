"""All comparisons of a report as one family: Holm-adjusted p, simultaneous intervals, and what cannot have a star."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from ushydra_lab.results.crossed import Effect

Key = TypeVar("Key")
ALPHA = 0.05
SUBJECTS = 6
"""Fewer have no star: no test that does without the normal distribution could reach 0.05, 2^(1 - 5) being 0.06."""


@dataclass(frozen=True)
class Comparison:
    """One comparison among all of its family.

    interval: 95 %, of this comparison alone. simultaneous: of the whole family, so that with 95 % confidence all hold
    at once. p, p_holm: before and after Holm's adjustment. smallest: the adjusted p of the largest change that the
    values allow (`Effect.smallest_p`). All NaN with one seed or one subject.
    """

    effect: Effect
    interval: tuple[float, float]
    simultaneous: tuple[float, float]
    p: float
    p_holm: float
    smallest: float

    @property
    def starred(self) -> bool:
        """A difference: the adjusted p is below 0.05, of enough subjects."""
        return bool(self.p_holm < ALPHA) and self.effect.subjects >= SUBJECTS

    @property
    def can_be_starred(self) -> bool:
        """Whether any change at all could have a star with so few seeds and subjects."""
        return self.starred or (bool(self.smallest < ALPHA) and self.effect.subjects >= SUBJECTS)


def adjusted(effects: Mapping[Key, Effect]) -> dict[Key, Comparison]:
    """Adjust all comparisons of a report, those of every held-out site together.

    Intervals are Bonferroni's: each at confidence 1 - 0.05 / m. Where Holm's adjustment, which refuses more, gives a
    star whose interval would contain 0, the interval ends there: the direction is shown and nothing more.
    """
    p_values = {key: effect.p() for key, effect in effects.items()}
    tested = sum(not np.isnan(p) for p in p_values.values())
    share = 1 / max(tested, 1)
    holms = holm(list(p_values.values()))
    found = {}
    for (key, effect), p_holm in zip(effects.items(), holms, strict=True):
        whole = effect.interval(ALPHA * share)
        smallest = float(np.minimum(1, effect.smallest_p / share))
        one = Comparison(effect, effect.interval(ALPHA), whole, p_values[key], p_holm, smallest)
        found[key] = replace(one, simultaneous=_of_one_sign(whole, effect)) if one.starred else one
    return found


def _of_one_sign(interval: tuple[float, float], effect: Effect) -> tuple[float, float]:
    """An interval cut at 0 towards the change's own side."""
    low, high = interval
    return (max(low, 0.0), high) if effect.change > 0 else (low, min(high, 0.0))


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
