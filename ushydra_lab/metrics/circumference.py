"""Head circumference from a label map: the perimeter of the ellipse fitted to a structure's outline."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ushydra_lab.geometry.ellipse import contour, fit

BORDER = 1.0  # px from the image's border within which an outline is the border's, not the head's


def circumference(labels: Tensor, label: int, content: Tensor, native_px: Tensor) -> Tensor:
    """Perimeter in native px, (B,), of the ellipse through the outline of a label's largest connected part.

    An outline cut by the image's border is fitted by the part that is seen. NaN where it is no ellipse's.

    Args:
        labels: label maps (B, H, W).
        content: box of the image on the canvas (B, 4), px; outside is padding.
        native_px: native px per canvas px along x and y (B, 2).
    """
    known = zip(labels.cpu().numpy() == label, content.cpu().numpy(), native_px.cpu().numpy(), strict=True)
    return torch.tensor([_perimeter(mask, box, scale) for mask, box, scale in known])


def _perimeter(mask: NDArray[np.bool_], box: NDArray[np.float32], scale: NDArray[np.float32]) -> float:
    parts, count = ndimage.label(mask)
    if not count:
        return np.nan
    points = contour(parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:])))
    inside = ((points > box[:2] + BORDER) & (points < box[2:] - BORDER)).all(axis=1)
    try:
        return fit(points[inside] * scale).perimeter
    except ValueError:
        return np.nan
