"""Distances between the outlines of predicted and true structures."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree
from torch import Tensor

from ushydra_lab.losses.segmentation import IGNORE

Floats = NDArray[np.float64]


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Rows and columns (N, 2) of the pixels with a side neighbour outside the mask or the image."""
    return np.argwhere(mask & ~binary_erosion(mask))


def outline_gaps(pred: NDArray[np.bool_], true: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Distance, px, of each outline pixel of one mask (H, W) to the nearest of the other; infinite where that is empty.

    First of the prediction's, then of the truth's; centre to centre.
    """
    a, b = _outline(pred), _outline(true)
    if not (len(a) and len(b)):
        return np.full(len(a), np.inf), np.full(len(b), np.inf)
    return KDTree(b).query(a)[0], KDTree(a).query(b)[0]


def outline_distances(there: Floats, back: Floats) -> tuple[float, float]:
    """Average symmetric surface distance and HD95, px, of `outline_gaps`; NaN if either mask is empty.

    The mean over both outlines; and the 95th percentile over each, the larger of the two. As MONAI defines them.
    """
    if not (len(there) and len(back)):
        return np.nan, np.nan
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    return float(np.concatenate([there, back]).mean()), float(hd95)


def surface_dice(there: Floats, back: Floats, tolerance: float) -> float:
    """Share of both outlines' pixels that are no farther than a tolerance, px, from the other; NaN without the truth.

    The normalised surface Dice, NSD (S. Nikolov et al., J. Med. Internet Res. 23, 2021), by counts of pixels as MONAI
    has it; 0 for a structure that was missed.
    """
    if not len(back) or np.isnan(tolerance):
        return np.nan
    reached = tolerance * (1 + 1e-6)  # of a spacing in 32 bits
    return float(((there <= reached).sum() + (back <= reached).sum()) / (len(there) + len(back)))


def surface_distances(pred: Tensor, true: Tensor, classes: int, tolerances: Tensor) -> dict[str, Tensor]:
    """`assd` and `hd95`, px (B, K), and `nsd` (B, K, T), of each structure of label maps (B, H, W), on the CPU.

    Column 0 is NaN, as the background is no structure. Pixels whose true label is IGNORE belong to none.

    Args:
        classes: K, the background included.
        tolerances: of `surface_dice` for each image, px (B, T); NaN where it is unknown.

    Raises:
        ValueError: unequal shapes.
    """
    if pred.shape != true.shape or pred.ndim != 3:
        raise ValueError(f"expected two label maps (B, H, W), got {tuple(pred.shape)} and {tuple(true.shape)}")
    found = torch.full((len(true), classes, 2 + tolerances.shape[1]), torch.nan)
    pairs = zip(pred.where(true != IGNORE, IGNORE).cpu().numpy(), true.cpu().numpy(), strict=True)
    for image, ((p, t), reach) in enumerate(zip(pairs, tolerances.tolist(), strict=True)):
        for k in range(1, classes):
            gaps = outline_gaps(p == k, t == k)
            shares = [surface_dice(*gaps, tolerance) for tolerance in reach]
            found[image, k] = torch.tensor([*outline_distances(*gaps), *shares])
    return {"assd": found[..., 0], "hd95": found[..., 1], "nsd": found[..., 2:]}
