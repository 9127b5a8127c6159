"""How unusual a segmented structure is, judged without an expert's mask: a prior over shapes seen in training."""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from torch import Tensor, nn

FEATURES = ("log area", "eccentricity", "x", "y", "width", "height")


def shape_features(labels: Tensor, classes: int, pixel_mm: Tensor | None = None) -> Tensor:
    """(B, K, 6) FEATURES of each structure of label maps (B, H, W), on the CPU; NaN where it is empty, and for label 0.

    Area in mm^2; eccentricity of the ellipse with the same second moments, 0 to 1; centroid relative to that of all
    structures together, and size of the bounding box, in mm. In px without `pixel_mm` (B,), mm per px.
    """
    spacing = np.ones(len(labels)) if pixel_mm is None else pixel_mm.cpu().numpy()
    features = np.full((len(labels), classes, len(FEATURES)), np.nan, np.float32)
    for row, (found, mm) in enumerate(zip(labels.cpu().numpy(), spacing, strict=True)):
        middle = np.argwhere((found > 0) & (found < classes)).mean(axis=0) if (found > 0).any() else np.zeros(2)
        for label in range(1, classes):
            if len(at := np.argwhere(found == label)):
                features[row, label] = _features(at, middle, mm)
    return torch.from_numpy(features)


def _features(at: NDArray[np.intp], middle: NDArray[np.float64], mm: float) -> list[float]:
    """at: (N, 2) row and column of a structure's pixels."""
    centre = at.mean(axis=0)
    minor, major = np.linalg.eigvalsh((at - centre).T @ (at - centre) / len(at)).clip(min=0)
    eccentricity = np.sqrt(1 - minor / major) if major else 0.0
    down, across = (centre - middle) * mm
    height, width = (np.ptp(at, axis=0) + 1) * mm
    return [np.log(len(at) * mm**2), eccentricity, across, down, width, height]


class ShapePrior(nn.Module):
    """A normal distribution of each structure's features, fitted to training masks; it is saved with the model."""

    mean: Tensor
    precision: Tensor
    largest: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        count = len(FEATURES)
        self.register_buffer("mean", torch.full((classes, count), torch.nan))
        self.register_buffer("precision", torch.full((classes, count, count), torch.nan))
        self.register_buffer("largest", torch.full((classes,), torch.nan))

    def fit(self, features: Tensor) -> None:
        """features: (N, K, 6). Covariance by Ledoit and Wolf; a structure with fewer than two masks has no prior."""
        for label in range(1, features.shape[1]):
            known = features[:, label][~features[:, label].isnan().any(dim=1)].double().numpy()
            if len(known) < 2:
                continue
            scale = known.std(axis=0) + 1e-6
            found = LedoitWolf().fit(known / scale)
            self.mean[label] = torch.from_numpy(found.location_ * scale)
            self.precision[label] = torch.from_numpy(found.precision_ / np.outer(scale, scale))
            self.largest[label] = self(features)[:, label].nan_to_num(0).max()

    def forward(self, features: Tensor) -> Tensor:
        """Mahalanobis distance of each structure, (B, K); NaN where it is empty or has no prior."""
        away = features - self.mean.cpu()
        return torch.einsum("bki,kij,bkj->bk", away, self.precision.cpu(), away).clamp(min=0).sqrt()

    def anomaly(self, distance: Tensor, peak: Tensor) -> Tensor:
        """(B, K): the distance; for an empty structure the largest of the training masks, and up to 1 more.

        So a structure that is not found ranks beyond every shape that was seen, the further the surer the network is
        that nothing is there: by 1 - `peak` (B, K), its highest probability anywhere. NaN without a prior.
        """
        return torch.where(distance.isnan(), self.largest.cpu() + 1 - peak.cpu(), distance)
