"""The effect across hospitals: its mean, how much hospitals differ, and what to expect of a new one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import chi2, t

Floats = NDArray[np.float64]
FEW = 4
"""Fewer hospitals make wide intervals whatever was found: Student's quantile is 12.7 of two and 4.3 of three."""


@dataclass(frozen=True)
class AcrossHospitals:
    """Effects measured at k hospitals, none of them seen in training, as a sample of hospitals.

    mean: each hospital counts once. sd: of the k effects (ddof 1). tau2: variance of the true effects between hospitals
    (R. C. Paule and J. Mandel, J. Res. NBS 87, 1982); q, q_p: Cochran's test that there is none; i2: share of the
    variance of the effects that it is of (J. P. T. Higgins and S. G. Thompson, Stat. Med. 21, 2002). NaN where unknown.

    The intervals are those of J. Hartung and G. Knapp (Stat. Med. 20, 2001) with equal weights and k - 1 degrees of
    freedom. Weights by inverse variances are not taken, since variances of few seeds are too uncertain for them: with
    4 degrees of freedom each, their interval covered 90 to 95 % in simulations of 2 to 12 hospitals, and the usual
    prediction interval, from tau2, 84 to 95 %. `benchmark --only evidence` measures the intervals that were taken.
    """

    mean: float
    sd: float
    tau2: float
    i2: float
    q: float
    q_p: float
    k: int

    @property
    def change(self) -> float:
        return self.mean

    def interval(self, alpha: float = 0.05) -> tuple[float, float]:
        """Of the mean effect over hospitals; NaN for fewer than two."""
        return self._around(self.sd / np.sqrt(self.k), alpha) if self.k else (np.nan, np.nan)

    def p(self, null: float = 0.0) -> float:
        """Two-sided p against a mean effect of `null`."""
        if self.k < 2 or not self.sd > 0:
            return np.nan
        return float(2 * t.sf(abs(self.mean - null) / self.sd * np.sqrt(self.k), self.k - 1))

    @property
    def prediction(self) -> tuple[float, float]:
        """95 % interval for the effect at a new hospital like these; NaN for fewer than two.

        From the effects as measured, whose SD also contains how uncertain each is: it is never too narrow for that.
        """
        return self._around(self.sd * np.sqrt(1 + 1 / self.k), 0.05) if self.k else (np.nan, np.nan)

    @property
    def caution(self) -> str:
        """Why the intervals are missing or wide; '' of enough hospitals."""
        if self.k < 2:
            return "One held-out hospital says nothing about how hospitals differ: no interval for a new one."
        if self.k < FEW:
            times = f"{t.isf(0.025, self.k - 1):.1f}"
            wide = f"the intervals reach {times} standard errors to either side"
            return f"{self.k} hospitals say little about how hospitals differ: {wide}."
        return ""

    def _around(self, error: float, alpha: float) -> tuple[float, float]:
        if self.k < 2:
            return np.nan, np.nan
        half = float(t.isf(alpha / 2, self.k - 1) * error)
        return self.mean - half, self.mean + half


def is_hospital(held_out: str) -> bool:
    """Whether a site was held out, and not subjects of sites that are also trained on."""
    return not (held_out.endswith("folds") or held_out in ("official", "random", "stratified", "seen_sites"))


def across_hospitals(effects: ArrayLike, variances: ArrayLike) -> AcrossHospitals:
    """Combine one effect a hospital, (k,), with the variance of each, NaN where unknown.

    An effect that is NaN is left out; heterogeneity is NaN unless every variance is known and positive.
    """
    y, v = np.asarray(effects, float), np.asarray(variances, float)
    y, v = y[~np.isnan(y)], v[~np.isnan(y)]
    k = len(y)
    if k < 2:
        return AcrossHospitals(float(y.mean()) if k else np.nan, *(np.nan,) * 5, k)
    mean, sd = float(y.mean()), float(y.std(ddof=1))
    if not (v > 0).all():
        return AcrossHospitals(mean, sd, *(np.nan,) * 4, k)
    q = _cochran(y, v, 0.0)
    i2 = max(0.0, 1 - (k - 1) / q) if q > 0 else 0.0
    return AcrossHospitals(mean, sd, paule_mandel(y, v), i2, q, float(chi2.sf(q, k - 1)), k)


def paule_mandel(y: Floats, v: Floats) -> float:
    """The variance between hospitals at which Cochran's statistic is as large as expected, k - 1; 0 if it never is."""
    k = len(y)
    if _cochran(y, v, 0.0) <= k - 1:
        return 0.0
    most = float(((y - y.mean()) ** 2).sum())
    return float(brentq(lambda tau2: _cochran(y, v, tau2) - (k - 1), 0.0, most))


def _cochran(y: Floats, v: Floats, tau2: float) -> float:
    weights = 1 / (v + tau2)
    return float((weights * (y - (weights * y).sum() / weights.sum()) ** 2).sum())
