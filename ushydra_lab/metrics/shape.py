"""Anomaly of a segmented structure's shape without an expert's mask, by a prior over shapes of the training masks."""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from torch import Tensor, nn

FEATURES = ("log area", "eccentricity", "x", "y", "width", "height")


def shape_features(labels: Tensor, classes: int) -> Tensor:
    """(B, K, 6) FEATURES of each structure of label maps (B, H, W), on the CPU; NaN where it is empty, and for label 0.

    Area in px; eccentricity of the ellipse with the same second moments, 0 to 1; centroid relative to that of all
    structures together, and size of the bounding box, in px.
    """
    features = np.full((len(labels), classes, len(FEATURES)), np.nan, np.float32)
    for row, found in enumerate(labels.cpu().numpy()):
        middle = np.argwhere((found > 0) & (found < classes)).mean(axis=0) if (found > 0).any() else np.zeros(2)
        for label in range(1, classes):
            if len(at := np.argwhere(found == label)):
                features[row, label] = _features(at, middle)
    return torch.from_numpy(features)


def in_mm(features: Tensor, pixel_mm: Tensor) -> Tensor:
    """Features (B, K, 6) in mm and mm^2, of those in px and mm per px (B,); NaN where that is, but for eccentricity."""
    area, eccentricity, lengths = features.split([1, 1, 4], dim=2)
    mm = pixel_mm.cpu()[:, None, None]
    return torch.cat([area + 2 * mm.log(), eccentricity, lengths * mm], 2)


def _features(at: NDArray[np.intp], middle: NDArray[np.float64]) -> list[float]:
    """at: (N, 2) row and column of a structure's pixels."""
    centre = at.mean(axis=0)
    minor, major = np.linalg.eigvalsh((at - centre).T @ (at - centre) / len(at)).clip(min=0)
    eccentricity = np.sqrt(1 - minor / major) if major else 0.0
    down, across = centre - middle
    height, width = np.ptp(at, axis=0) + 1
    return [np.log(len(at)), eccentricity, across, down, width, height]


class ShapePrior(nn.Module):
    """A normal distribution of each structure's features, fitted to training masks; it is saved with the model.

    It is of features in mm if the spacing of any training mask is known, else in px, whatever is known of other images.
    """

    mm: Tensor
    mean: Tensor
    precision: Tensor
    largest: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        count = len(FEATURES)
        self.register_buffer("mm", torch.tensor(True))
        self.register_buffer("mean", torch.full((classes, count), torch.nan))
        self.register_buffer("precision", torch.full((classes, count, count), torch.nan))
        self.register_buffer("largest", torch.full((classes,), torch.nan))
        self.register_load_state_dict_pre_hook(_of_unknown_unit)

    def fit(self, features: Tensor, pixel_mm: Tensor) -> None:
        """Fit to features (N, K, 6) in px; pixel_mm (N,): mm per px, NaN where unknown.

        Covariance by Ledoit and Wolf; a structure with fewer than two masks has no prior.
        """
        self.mm.fill_(bool(pixel_mm.isfinite().any()))
        features = self._in_unit(features, pixel_mm)
        for label in range(1, features.shape[1]):
            known = features[:, label][~features[:, label].isnan().any(dim=1)].double().numpy()
            if len(known) < 2:
                continue
            scale = known.std(axis=0) + 1e-6
            found = LedoitWolf().fit(known / scale)
            self.mean[label] = torch.from_numpy(found.location_ * scale)
            self.precision[label] = torch.from_numpy(found.precision_ / np.outer(scale, scale))
            self.largest[label] = self._distance(features)[:, label].nan_to_num(0).max()

    def forward(self, features: Tensor, pixel_mm: Tensor) -> Tensor:
        """Mahalanobis distance of each structure, (B, K), from features (B, K, 6) in px and mm per px (B,), or NaN.

        NaN where it is empty or has no prior, and without a spacing if the prior is in mm.
        """
        return self._distance(self._in_unit(features, pixel_mm))

    def _in_unit(self, features: Tensor, pixel_mm: Tensor) -> Tensor:
        return in_mm(features, pixel_mm) if self.mm else features

    def _distance(self, features: Tensor) -> Tensor:
        away = features - self.mean.cpu()
        return torch.einsum("bki,kij,bkj->bk", away, self.precision.cpu(), away).clamp(min=0).sqrt()

    def anomaly(self, distance: Tensor, empty: Tensor, peak: Tensor) -> Tensor:
        """(B, K): the distance; for an `empty` structure (B, K) the largest of the training masks, and up to 1 more.

        So a structure that is not found ranks beyond every shape that was seen, the further the surer the network is
        that nothing is there: by 1 - `peak` (B, K), its highest probability anywhere. NaN without a prior, and
        of a structure that is found where the distance is NaN.
        """
        return torch.where(empty.cpu(), self.largest.cpu() + 1 - peak.cpu(), distance)


def _of_unknown_unit(prior: ShapePrior, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Files from before the unit was saved have what `prepare` chose, or mm."""
    state.setdefault(f"{prefix}mm", prior.mm)
