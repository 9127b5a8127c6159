"""Projection of codes to the plane by PCA and UMAP (paper 1, Figure 8), fitted on the training codes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from ushydra_lab.probes.features import Floats

UMAP_NEIGHBOURS = 15


def project(train: Floats, others: list[Floats], seed: int) -> dict[str, Floats]:
    """`pca_1`, `pca_2`, `umap_1`, `umap_2` of the training codes, at least 4, and then of `others`.

    The number of threads is as before afterwards: numba, on which UMAP stands, raises it for torch as well, and what is
    trained later in the process would have other bits.
    """
    known: dict[str, Any] = {"pca": PCA(2, svd_solver="full")}
    known["umap"] = umap(seed, min(UMAP_NEIGHBOURS, len(train) - 1))
    found: dict[str, Floats] = {}
    with threadpool_limits(1, "openmp"):
        for name, model in known.items():
            placed = [model.fit_transform(train), *map(model.transform, others)]
            found |= {f"{name}_{axis + 1}": np.concatenate(placed)[:, axis].astype(np.float64) for axis in range(2)}
    return found


def umap(seed: int, neighbours: int) -> Any:
    """UMAP (McInnes, Healy and Melville 2018, arXiv 1802.03426), on one thread: the same seed gives the same map.

    Imported where it is used: numba, which it stands on, compiles for many seconds.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for tensorflow
        from umap import UMAP
    return UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1)
