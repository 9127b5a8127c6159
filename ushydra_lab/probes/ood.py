"""Out-of-distribution scores: a code's distance from the training codes (paper 1, section 3.4, C.2, Table 5)."""

from __future__ import annotations

import numpy as np
from sklearn.covariance import EmpiricalCovariance, LedoitWolf
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from ushydra_lab.errors import UserError
from ushydra_lab.probes import Covariance
from ushydra_lab.probes.features import Floats

NEIGHBOURS = 10


class Mahalanobis:
    """d(z) = sqrt((z - mean)' C^-1 (z - mean)) with mean and covariance of the training codes, all sites together.

    covariance: `ledoit_wolf` shrinks it (Ledoit and Wolf, J. Multivar. Anal. 88, 2004), which serves with fewer
    images than dimensions too; `empirical` is as printed.
    """

    def __init__(self, codes: Floats, covariance: Covariance = "ledoit_wolf") -> None:
        """codes: (N, D).

        Raises:
            UserError: the empirical covariance cannot be inverted.
        """
        if covariance == "ledoit_wolf":
            self.estimate = LedoitWolf().fit(codes)
            return
        self.estimate = EmpiricalCovariance().fit(codes)
        if (rank := np.linalg.matrix_rank(self.estimate.covariance_, hermitian=True)) < codes.shape[1]:
            raise UserError(
                f"the empirical covariance of {len(codes)} training codes of {codes.shape[1]} dimensions has rank "
                f"{rank} and no inverse; use --covariance ledoit_wolf"
            )

    def __call__(self, codes: Floats) -> Floats:
        """Distances (N,) of codes (N, D)."""
        return np.sqrt(self.estimate.mahalanobis(codes))


class Neighbours:
    """Mean Euclidean distance to the K = 10 nearest training codes."""

    def __init__(self, codes: Floats) -> None:
        """codes: (N, D).

        Raises:
            UserError: there are fewer than K.
        """
        if len(codes) < NEIGHBOURS:
            raise UserError(f"{len(codes)} training images are too few for the {NEIGHBOURS} nearest; add images")
        self.index = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(codes)

    def __call__(self, codes: Floats) -> Floats:
        """Mean distances (N,) of codes (N, D)."""
        return self.index.kneighbors(codes)[0].mean(1)


def detect(train: Floats, others: list[Floats], covariance: Covariance) -> dict[str, list[Floats]]:
    """Scores of every detector, fitted on the training codes, for each set of codes in `others`, (N, D) to (N,)."""
    mahalanobis, knn = Mahalanobis(train, covariance), Neighbours(train)
    unit = Mahalanobis(normalize(train), covariance)
    return {
        "mahalanobis": [mahalanobis(codes) for codes in others],
        "mahalanobis_l2": [unit(normalize(codes)) for codes in others],
        "knn": [knn(codes) for codes in others],
    }


def separation(usual: Floats, unusual: Floats) -> float:
    """AUROC: the probability that an unusual image scores higher than a usual one; ties count half."""
    truth = np.repeat([0, 1], [len(usual), len(unusual)])
    return float(roc_auc_score(truth, np.concatenate([usual, unusual])))
