"""Which decoder an image goes to: its style against that of each domain's training images.

The paper's equations are missing from its text; this is the reading of them ("Quality evaluation and dynamic
routing"). Per image, mean and SD over the pixels of each channel of the image and of the feature map, averaged over
channels: a style of four numbers. Image and features count equally: m is the mean of both means, s of both SDs. A
domain's (m_d, s_d) are the means over its training images.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.covariance import LedoitWolf
from torch import Tensor, nn

from ushydra_lab.devices import ensure, sent
from ushydra_lab.errors import UserError
from ushydra_lab.geometry.boxes import box_mask

STYLE = ("pixel mean", "pixel SD", "feature mean", "feature SD")
Distance = Literal["weighted", "zscored", "mahalanobis"]
WEIGHT = 10.0
"""Of the SDs' difference (equation 11)."""
_FLOOR = 1e-6  # SD and variance of styles that do not vary


@torch.no_grad()
def style(image: Tensor, features: Tensor, content: Tensor) -> Tensor:
    """Style (B, 4), in the order of STYLE, of images (B, 1, H, W) with features (B, C, h, w) that cover them.

    content: box (B, 4) px of each image on the canvas; a pixel outside does not count, a feature in proportion to
    the part of it that is inside. SDs have the divisor n.
    """
    inside = box_mask(content, (image.shape[-2], image.shape[-1])).float()
    share = F.adaptive_avg_pool2d(inside, (features.shape[-2], features.shape[-1]))
    return torch.cat([_moments(image.float(), inside), _moments(features.float(), share)], 1)


def _moments(values: Tensor, weights: Tensor) -> Tensor:
    """Mean and SD (B, 2) over the weighted pixels of each channel, averaged over channels."""
    weights = weights / weights.sum((2, 3), keepdim=True)
    mean = (values * weights).sum((2, 3), keepdim=True)
    sd = ((values - mean) ** 2 * weights).sum((2, 3)).sqrt()
    return torch.stack([mean.mean((1, 2, 3)), sd.mean(1)], 1)


def combined(styles: Tensor) -> Tensor:
    """(m, s), (..., 2), of styles (..., 4) or of differences between them."""
    return (styles[..., :2] + styles[..., 2:]) / 2


def rows_by_domain(domains: Tensor) -> dict[int, Tensor]:
    """Domain -> the rows (n,) of its images, from the domain (B,) of each; domains and rows ascend.

    Reads the domains, the one wait for a GPU in a step: which images a decoder sees decides the shapes of all it makes.
    """
    known = domains.tolist()
    rows = {domain: [row for row, own in enumerate(known) if own == domain] for domain in sorted(set(known))}
    return {domain: sent(own, domains, torch.long) for domain, own in rows.items()}


def soft_weights(distances: Tensor, temperature: float) -> Tensor:
    """Weight (B, D) of each decoder: softmax(-distance / temperature)."""
    return torch.softmax(-distances / temperature, 1)


class Router(nn.Module):
    """Statistics of each domain's training images, as buffers that are saved with the model, and distances to them.

    Styles are (B, E, 4): from one shared encoder (E = 1), or from every domain's own (E = D), each of which is then
    compared with its domain only.
    """

    mean: Tensor
    scale: Tensor
    precision: Tensor

    def __init__(self, domains: Sequence[str]) -> None:
        """domains: their names, in the order of the decoders."""
        super().__init__()
        self.domains = list(domains)
        self.register_buffer("mean", torch.full((len(domains), len(STYLE)), torch.nan))
        self.register_buffer("scale", torch.full((2,), torch.nan))
        self.register_buffer("precision", torch.full((len(STYLE), len(STYLE)), torch.nan))

    def fit(self, styles: Tensor, domains: Tensor) -> None:
        """Take the statistics of training images: styles (N, E, 4) and the domain (N,) each belongs to.

        `mean` is the mean style of each domain. What is pooled over domains is how images differ from the mean of
        their own: `scale`, the SD of m and of s, and `precision`, the inverse covariance of the style by Ledoit
        and Wolf.

        Raises:
            UserError: a domain with fewer than two training images.
            ValueError: domains that do not exist, or styles that are not finite.
        """
        self._check(styles, domains)
        rows = torch.arange(len(styles), device=styles.device)
        own = styles[rows, domains if styles.shape[1] > 1 else 0].double().cpu()
        codes = domains.cpu()
        mean = torch.stack([own[codes == domain].mean(0) for domain in range(len(self.domains))])
        away = own - mean[codes]
        freedom = len(away) - len(self.domains)
        self.mean.copy_(mean)
        self.scale.copy_((combined(away).square().sum(0) / freedom).sqrt() + _FLOOR)
        self.precision.copy_(torch.from_numpy(_precision(away.numpy())))

    def distances(self, styles: Tensor, how: Distance, weight: float = WEIGHT) -> Tensor:
        """Distance (B, D) of styles (B, E, 4) to every domain; an image goes to the decoder with the smallest.

        - weighted: |m - m_d| + weight * |s - s_d| (equation 11);
        - zscored: both differences in units of their SD within a domain, added;
        - mahalanobis: of the whole style, with the covariance within a domain.

        Raises:
            ValueError: an unknown distance, or a router without statistics.
        """
        if how not in get_args(Distance):
            raise ValueError(f"unknown distance {how!r}: choose weighted, zscored or mahalanobis")
        ensure(
            ~self.mean.isnan(),
            lambda: "the router has no statistics yet: fit it to training images, or load a checkpoint",
        )
        away = styles - self.mean
        if how == "mahalanobis":
            return torch.einsum("bdi,ij,bdj->bd", away, self.precision, away).clamp(min=0).sqrt()
        factors = sent([1.0, weight], away, away.dtype) if how == "weighted" else 1 / self.scale
        return (combined(away).abs() * factors).sum(-1)

    def _check(self, styles: Tensor, domains: Tensor) -> None:
        if strange := sorted(set(domains.tolist()) - set(range(len(self.domains)))):
            raise ValueError(f"domains must be below {len(self.domains)}, found {strange}")
        if not styles.isfinite().all():
            raise ValueError("styles of training images are not finite: the encoder's features have diverged")
        self.refuse(domains)

    def refuse(self, domains: Tensor) -> None:
        """
        Raises:
            UserError: fewer than two training images of a domain; domains: (N,), of each image.
        """
        counts = dict(zip(self.domains, domains.bincount(minlength=len(self.domains)).tolist(), strict=True))
        if few := [f"{name}: {count}" for name, count in counts.items() if count < 2]:
            left = ",".join(name for name, count in counts.items() if count > 1)
            raise UserError.listing(
                "A router needs two training images of each quality. Name only those there are, "
                f"stages.specialise.task.domains=[{left}], or change the split. Found:",
                few,
            )


def _precision(away: np.ndarray) -> np.ndarray:
    """Inverse covariance (4, 4) of deviations (N, 4), shrunk where all have unit SD."""
    scale = np.sqrt((away**2).mean(axis=0)) + _FLOOR
    covariance = LedoitWolf(assume_centered=True, store_precision=False).fit(away / scale).covariance_
    inverse: np.ndarray = np.linalg.inv(covariance + _FLOOR * np.eye(len(scale))) / np.outer(scale, scale)
    return inverse


@dataclass(frozen=True)
class Features:
    """Features of images (B, 1, H, W) by an encoder: levels (B, ...) for a decoder."""

    image: Tensor
    levels: tuple[Tensor, ...]

    def rows(self, index: Tensor) -> Features:
        return Features(self.image[index], tuple(level[index] for level in self.levels))


class Hydra(nn.Module):
    """Common to both: encoders (one that is shared, or one for each domain) and a decoder for each domain.

    Images are (B, 1, H, W) in [0, 1]; logits (B, K) or (B, K, H, W). A domain is the index of its decoder.
    """

    style_level: ClassVar[int]
    """Which of an encoding's levels, a map (B, C, h, w), the router reads."""

    def __init__(self, encoder: nn.Module, decoders: Sequence[nn.Module], shared: bool) -> None:
        super().__init__()
        copies = 1 if shared else len(decoders)
        self.encoders = nn.ModuleList([encoder, *(deepcopy(encoder) for _ in range(copies - 1))])
        self.decoders = nn.ModuleList(decoders)

    def encode(self, x: Tensor, domain: int = 0) -> Features:
        """Features by the shared encoder, or by that of the domain where each has its own."""
        return Features(x, tuple(self.encoders[domain if len(self.encoders) > 1 else 0](x)))

    def decode(self, features: Features, domain: int) -> Tensor:
        """Logits by the domain's decoder, of features by its encoder."""
        logits: Tensor = self.decoders[domain](features.levels)
        return logits

    def forward_routed(self, x: Tensor, route: Tensor) -> Tensor:
        """Logits of each image by the decoder that `route` (B,) names; a decoder sees its own images only.

        A shared encoder sees all of them at once: batch norm in training takes its statistics there.

        Raises:
            ValueError: a route that names no decoder, or not one for each image.
        """
        rows = rows_by_domain(route)
        strange = sorted(rows.keys() - set(range(len(self.decoders))))
        if route.shape != x.shape[:1] or strange:
            raise ValueError(
                f"a route needs a decoder below {len(self.decoders)} for each of {len(x)} images, "
                f"got shape {tuple(route.shape)}, found {strange}"
            )
        shared = self.encode(x) if len(self.encoders) == 1 else None
        logits = []
        for domain, own in rows.items():
            features = self.encode(x[own], domain) if shared is None else shared.rows(own)
            logits.append(self.decode(features, domain))
        return torch.cat(logits)[torch.cat(list(rows.values())).argsort()]

    def encodings(self, x: Tensor) -> list[Features]:
        """Features by every encoder: one, or one for each domain."""
        return [self.encode(x, domain) for domain in range(len(self.encoders))]

    def decode_all(self, encodings: Sequence[Features]) -> Tensor:
        """Logits (B, D, K, ...) by every decoder, of `encodings`: any route picks its rows from them."""
        own = encodings if len(encodings) > 1 else [*encodings] * len(self.decoders)
        return torch.stack([self.decode(features, domain) for domain, features in enumerate(own)], 1)

    def styles(self, encodings: Sequence[Features], content: Tensor) -> Tensor:
        """Style (B, E, 4) by each of the E encoders, for a `Router`; content: box (B, 4) px, outside is padding."""
        return torch.stack([style(f.image, f.levels[self.style_level], content) for f in encodings], 1)
