"""Cleaning a predicted label map (fetal brain thesis, section 3.6: for pictures, never behind the main metrics)."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ushydra_lab.metrics.overlap import PRESENT_PX

EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


def clean(labels: Tensor, classes: int, closing_px: int, components: Sequence[int], min_px: int = PRESENT_PX) -> Tensor:
    """Close the gaps of each structure, then keep its largest parts; the rest becomes background, label 0.

    Closing turns background into structure and changes no other label; a pixel that several structures close over
    goes to the lowest label. The image's border closes nothing: beyond it lies background.

    Args:
        labels: label maps (B, H, W).
        classes: K, the background included.
        closing_px: radius of the disk that structures are closed with, px; 0 for none.
        components: of each structure, labels 1 to K - 1, how many 8-connected parts are kept, the largest first.
        min_px: parts of as many pixels or fewer are dropped.

    Returns:
        Label maps (B, H, W) of the same type, on the same device.

    Raises:
        ValueError: not a count of components for each structure, or a negative number.
    """
    if len(components) != classes - 1 or min([closing_px, min_px, *components]) < 0:
        raise ValueError(
            f"closing_px={closing_px}, min_px={min_px}, components={list(components)}: expected numbers from 0, "
            f"and one of components for each of the {classes - 1} structures"
        )
    cleaned = [_clean(found, closing_px, components, min_px) for found in labels.cpu().numpy()]
    return torch.from_numpy(np.stack(cleaned)).to(labels.device) if cleaned else labels.clone()


def _clean(labels: NDArray[np.integer], closing_px: int, components: Sequence[int], min_px: int) -> NDArray[np.integer]:
    closed, cleaned = labels.copy(), np.zeros_like(labels)
    for label in range(1, len(components) + 1):
        closed[_closed(labels == label, closing_px) & (closed == 0)] = label
    for label, count in enumerate(components, 1):
        cleaned[_largest(closed == label, count, min_px)] = label
    return cleaned


def _closed(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    if not radius:
        return mask
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    wide = ndimage.binary_closing(np.pad(mask, radius), x**2 + y**2 <= radius**2)
    return wide[radius:-radius, radius:-radius]


def _largest(mask: NDArray[np.bool_], count: int, min_px: int) -> NDArray[np.bool_]:
    """Of parts of one size the one that comes first, row by row."""
    parts, _ = ndimage.label(mask, EIGHT_NEIGHBOURS)
    sizes = np.bincount(parts.ravel())[1:]
    order = np.argsort(-sizes, kind="stable")[:count]
    return np.isin(parts, 1 + order[sizes[order] > min_px])
