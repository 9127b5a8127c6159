"""Test whether a mask's outline follows the edges of its image better after a shift."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import binary_erosion, gaussian_gradient_magnitude

SIDE = 96  # px of the longer side in which outline and edges are compared
SMOOTH = 0.7  # px
REACH = 0.25  # of the image, the largest shift tried
OUTLINE = 8  # px; a shorter outline says nothing
STRONGEST = 95.0  # percentile that stronger edges are cut to, so that burnt-in text does not decide


def best_shift(grey: NDArray[np.uint8], inside: NDArray[np.bool_]) -> tuple[float, float, float]:
    """x and y (of the image's width and height) by which the mask would have to move for its outline to lie on the
    strongest edges, and by how many standard deviations over all shifts that is better than where it is.

    NaN, NaN, NaN where the outline is too short.
    """
    edges, outline = _small(grey, inside)
    if outline.sum() < OUTLINE:
        return np.nan, np.nan, np.nan
    reach = [int(REACH * n) for n in edges.shape]
    padded = [next_fast_len(n + r) for n, r in zip(edges.shape, reach, strict=True)]
    score = irfft2(rfft2(edges, padded) * np.conj(rfft2(outline, padded)), padded)
    score = np.roll(score, reach, (0, 1))[: 2 * reach[0] + 1, : 2 * reach[1] + 1]
    row, column = np.unravel_index(int(score.argmax()), score.shape)
    gain = float((score.max() - score[reach[0], reach[1]]) / score.std()) if score.std() else 0.0
    return float(column - reach[1]) / edges.shape[1], float(row - reach[0]) / edges.shape[0], gain


def _small(grey: NDArray[np.uint8], inside: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Edges (mean 0) and outline of about SIDE px."""
    scale = SIDE / max(grey.shape)
    size = max(1, round(scale * grey.shape[1])), max(1, round(scale * grey.shape[0]))
    image = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX), np.float32)
    mask = np.asarray(Image.fromarray(inside.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)) > 0
    edges = gaussian_gradient_magnitude(image, SMOOTH)
    edges = np.minimum(edges, np.percentile(edges, STRONGEST))
    outline = mask & ~binary_erosion(mask, border_value=1)
    return edges - edges.mean(), outline.astype(np.float32)
