"""The distance of an image's code from the training codes, Mahalanobis'."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag
from sklearn.covariance import EmpiricalCovariance, LedoitWolf
from sklearn.metrics import pairwise_distances

from ushydra_lab.errors import UserError
from ushydra_lab.triage import Covariance

Floats = NDArray[np.float64]


class Mahalanobis:
    """d(z) = sqrt((z - mean)' C^-1 (z - mean)) with mean and covariance of the training codes, all sites together.

    `precision` is C^-1, (D, D); `mean` (D,).
    """

    def __init__(self, mean: Floats, precision: Floats) -> None:
        self.mean, self.precision = mean, precision

    @classmethod
    def fit(cls, codes: Floats, covariance: Covariance = "ledoit_wolf") -> Mahalanobis:
        """codes: (N, D). covariance: `ledoit_wolf` shrinks it (Ledoit and Wolf, J. Multivar. Anal. 88, 2004), which
        serves with fewer images than dimensions too; `empirical` is as printed in paper 1, C.2.

        Raises:
            UserError: the empirical covariance cannot be inverted.
        """
        if covariance == "ledoit_wolf":
            shrunk = LedoitWolf().fit(codes)
            return cls(shrunk.location_, shrunk.precision_)
        plain = EmpiricalCovariance().fit(codes)
        if (rank := np.linalg.matrix_rank(plain.covariance_, hermitian=True)) < codes.shape[1]:
            raise UserError(
                f"the empirical covariance of {len(codes)} training codes of {codes.shape[1]} dimensions has rank "
                f"{rank} and no inverse; use --covariance ledoit_wolf"
            )
        return cls(plain.location_, plain.precision_)

    @classmethod
    def standardised(cls, codes: Floats) -> Mahalanobis:
        """The same of codes in units of each dimension's SD, by `ledoit_wolf`, which shrinks all dimensions alike."""
        sd = codes.std(0)
        scale = np.where(sd > 0, sd, 1)
        unit = cls.fit(codes / scale)
        return cls(unit.mean * scale, unit.precision / np.outer(scale, scale))

    @classmethod
    def independent(cls, *parts: Floats) -> Mahalanobis:
        """The distance of features that are `parts` (N, D) side by side, taken to vary independently of each other:
        the root of the sum of `standardised` distances' squares. A part may have no dimension.
        """
        fits = [cls.standardised(part) for part in parts if part.shape[1]]
        return cls(np.concatenate([one.mean for one in fits]), block_diag(*(one.precision for one in fits)))

    def __call__(self, codes: Floats) -> Floats:
        """Distances (N,) of codes (N, D)."""
        distances: Floats = pairwise_distances(codes, self.mean[None], metric="mahalanobis", VI=self.precision)
        return distances[:, 0]
