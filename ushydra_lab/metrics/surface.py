"""Distances between the outlines of predicted and true structures."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree
from torch import Tensor

from ushydra_lab.losses.segmentation import IGNORE


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Rows and columns (N, 2) of the pixels with a side neighbour outside the mask or the image."""
    return np.argwhere(mask & ~binary_erosion(mask))


def outline_distances(pred: NDArray[np.bool_], true: NDArray[np.bool_]) -> tuple[float, float]:
    """Average symmetric surface distance and HD95, px, between two masks (H, W); NaN if either is empty.

    Each outline pixel's distance, centre to centre, to the nearest one of the other outline: their mean over both
    outlines; and the 95th percentile over each, the larger of the two. As MONAI defines them.
    """
    a, b = _outline(pred), _outline(true)
    if not (len(a) and len(b)):
        return np.nan, np.nan
    there, back = KDTree(b).query(a)[0], KDTree(a).query(b)[0]
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    return float(np.concatenate([there, back]).mean()), float(hd95)


def surface_distances(pred: Tensor, true: Tensor, classes: int) -> dict[str, Tensor]:
    """`assd` and `hd95`, px (see `outline_distances`), of each structure of label maps (B, H, W), (B, K) on the CPU.

    Column 0 is NaN, as the background is no structure. Pixels whose true label is IGNORE belong to none.

    Args:
        classes: K, the background included.

    Raises:
        ValueError: unequal shapes.
    """
    if pred.shape != true.shape or pred.ndim != 3:
        raise ValueError(f"expected two label maps (B, H, W), got {tuple(pred.shape)} and {tuple(true.shape)}")
    pairs = zip(pred.where(true != IGNORE, IGNORE).cpu().numpy(), true.cpu().numpy(), strict=True)
    found = [[outline_distances(p == k, t == k) for k in range(1, classes)] for p, t in pairs]
    distances = torch.full((len(true), classes, 2), torch.nan)
    distances[:, 1:] = torch.tensor(found).view(len(true), classes - 1, 2)
    return {"assd": distances[..., 0], "hd95": distances[..., 1]}
