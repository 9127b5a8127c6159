"""Metrics of a router: how well it picks decoders, and the cost of wrong picks.

The oracle is the decoder of the image's own domain, as in the paper; it need not be the best for an image, so regret
against it may be negative. An image whose domain is unknown (code -1) has no oracle.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ushydra_lab.metrics.classification import Codes, confusion_matrix


def routing_scores(scores: Tensor, route: Tensor, domain: Tensor) -> dict[str, Tensor]:
    """Score of each image by the decoder picked, and by those that might have been picked, all (B,).

    Args:
        scores: of each image by each decoder (B, D), higher is better.
        route: the decoder (B,) that was picked.
        domain: the decoder (B,) of the image's own domain, -1 where that is unknown.

    Returns:
        `routed`, `oracle` and `best`: the score of the decoder picked, of the domain's own, of whichever is highest;
        `regret` = oracle - routed and `regret_best` = best - routed; `router_hit`: 1 where the own decoder was
        picked, else 0. Oracle, regret and hit are NaN where the domain is unknown, scores where they are undefined.
    """
    routed = scores.gather(1, route[:, None])[:, 0]
    known = domain >= 0
    oracle = scores.gather(1, domain.clamp(min=0)[:, None])[:, 0].where(known, torch.nan)
    best = scores.amax(1)
    hit = (route == domain).to(scores.dtype).where(known, torch.nan)
    gaps = {"regret": oracle - routed, "regret_best": best - routed}
    return {"routed": routed, "oracle": oracle, "best": best, **gaps, "router_hit": hit}


def domain_confusion(domain: ArrayLike, route: ArrayLike, domains: int) -> Codes:
    """Images of each domain (row) that went to each decoder (column), (D, D); without those of unknown domain, -1.

    Raises:
        ValueError: no image of a known domain, or codes that are not below `domains`.
    """
    known = np.asarray(domain) != -1
    return confusion_matrix(np.asarray(domain)[known], np.asarray(route)[known], domains)


def router_accuracy(confusion: ArrayLike) -> tuple[float, np.ndarray]:
    """Share of images that went to their own domain's decoder, of all and of each domain (D,); NaN without images."""
    matrix = np.asarray(confusion, float)
    hits, images = matrix.diagonal(), matrix.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return float(hits.sum() / images.sum()), hits / images
