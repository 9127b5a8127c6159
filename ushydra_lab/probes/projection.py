"""Projection of codes to the plane by PCA and UMAP (paper 1, Figure 8), fitted on the training codes."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from ushydra_lab.probes.features import Floats

UMAP_NEIGHBOURS = 15


def project(train: Floats, others: list[Floats], seed: int) -> dict[str, Floats]:
    """`pca_1`, `pca_2`, and with the package umap-learn `umap_1`, `umap_2`, of the training codes and then `others`."""
    known: dict[str, Any] = {"pca": PCA(2, svd_solver="full")}
    if find_spec("umap") and len(train) > UMAP_NEIGHBOURS:
        known["umap"] = _umap(seed)
    found: dict[str, Floats] = {}
    for name, model in known.items():
        placed = [model.fit_transform(train), *map(model.transform, others)]
        found |= {f"{name}_{axis + 1}": np.concatenate(placed)[:, axis].astype(np.float64) for axis in range(2)}
    return found


def _umap(seed: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for tensorflow
        from umap import UMAP  # type: ignore[import-untyped,import-not-found,unused-ignore]
    return UMAP(n_neighbors=UMAP_NEIGHBOURS, random_state=seed, n_jobs=1)
