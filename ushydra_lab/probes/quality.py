"""Predicting the error of a network's output from the code, and a triage score (paper 1, section 2.5, C.2)."""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from ushydra_lab.probes.features import EDGE, RESIDUAL, Floats


def predict_error(codes: Floats, error: Floats, others: list[Floats]) -> list[Floats]:
    """Ridge regression (alpha 1, codes as they are) of an error on training codes, applied to `others` (Table 6)."""
    model = Ridge(alpha=1.0).fit(codes, error)
    return [model.predict(values) for values in others]


class Triage:
    """One score of q(x) = [ROI residual, ROI edge residual, |z|]; the higher, the sooner a person should look.

    The paper names q(x) but no score. Here each is standardised by the training images' mean and SD. Residuals count
    as they are, and |z| by its distance from the mean, since a code may be unusually weak or strong; the score is the
    mean of the three. No label is needed.
    """

    def __init__(self, codes: Floats, quality: dict[str, Floats]) -> None:
        q = _q(codes, quality)
        self.mean, sd = q.mean(0), q.std(0, ddof=1)
        self.sd = np.where(sd > 0, sd, 1)

    def __call__(self, codes: Floats, quality: dict[str, Floats]) -> Floats:
        """Scores (N,) of codes (N, D) and their images' residuals."""
        standardised = (_q(codes, quality) - self.mean) / self.sd
        standardised[:, 2] = np.abs(standardised[:, 2])
        return standardised.mean(1)


def _q(codes: Floats, quality: dict[str, Floats]) -> Floats:
    return np.column_stack([quality[RESIDUAL], quality[EDGE], np.linalg.norm(codes, axis=1)])


def r2(true: Floats, predicted: Floats) -> float:
    """Coefficient of determination where the truth is known; NaN where that does not vary."""
    known = np.isfinite(true)
    return float(r2_score(true[known], predicted[known])) if known.any() and np.ptp(true[known]) > 0 else np.nan


def rank_correlation(a: Floats, b: Floats) -> float:
    """Spearman's rho of the pairs that have both; NaN below three pairs or where one does not vary."""
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 3 or np.ptp(a[both]) == 0 or np.ptp(b[both]) == 0:
        return np.nan
    return float(spearmanr(a[both], b[both]).statistic)
