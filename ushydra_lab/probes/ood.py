"""Out-of-distribution scores: a code's distance from the training codes (paper 1, section 3.4, C.2, Table 5)."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from ushydra_lab.errors import UserError
from ushydra_lab.probes.features import Floats
from ushydra_lab.triage import Covariance
from ushydra_lab.triage.distance import Mahalanobis

NEIGHBOURS = 10


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
    mahalanobis, knn = Mahalanobis.fit(train, covariance), Neighbours(train)
    unit = Mahalanobis.fit(normalize(train), covariance)
    return {
        "mahalanobis": [mahalanobis(codes) for codes in others],
        "mahalanobis_l2": [unit(normalize(codes)) for codes in others],
        "knn": [knn(codes) for codes in others],
    }


def separation(usual: Floats, unusual: Floats) -> float:
    """AUROC: the probability that an unusual image scores higher than a usual one; ties count half."""
    truth = np.repeat([0, 1], [len(usual), len(unusual)])
    return float(roc_auc_score(truth, np.concatenate([usual, unusual])))
