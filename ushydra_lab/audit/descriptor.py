"""A perceptual descriptor of an image in 660 bytes: pHash, with the numbers kept instead of their signs.

The low frequencies of the DCT of a 48 x 48 thumbnail, each weighted by its frequency, since natural images have little
power where they differ most; scaled to length 1. Blind to size, brightness and contrast; a mirrored image is the
same numbers with other signs.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn, idctn

SIDE = 48  # px of the thumbnail
KEPT = 20  # frequencies below are kept
FLAT = 1.0  # grey levels; an image with a smaller standard deviation shows nothing

Floats = NDArray[np.float32]

_V, _U = np.mgrid[:SIDE, :SIDE]
_FREQUENCY = np.hypot(_V, _U)
_KEPT = (_FREQUENCY > 0) & (_FREQUENCY < KEPT)
_WEIGHT = _FREQUENCY[_KEPT].astype(np.float32)
COMPARED, COARSE = _WEIGHT < 16, _WEIGHT < 8
"""Which numbers are compared, the derivatives needing some beyond; those that shifts and noise change least."""
MIRROR: Floats = np.where(_U[_KEPT] % 2, -1, 1).astype(np.float32)
"""Times a descriptor: the descriptor of the image seen in a mirror."""
LENGTH = len(_WEIGHT)


def describe(grey: NDArray[np.uint8]) -> Floats:
    """(LENGTH,) of length 1; zeros for an image that shows nothing."""
    thumbnail = np.asarray(Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
    if thumbnail.std() < FLAT:
        return np.zeros(LENGTH, np.float32)
    return unit(_weighted(thumbnail))


def similarity(one: Floats, other: Floats) -> Floats:
    """Correlation (N,) in 0..1 of descriptors (N, LENGTH), `one` being shifted and stretched a little to fit best.

    The part of `other` that lies in the plane of `one` and its derivatives by position and scale of x and y: the
    tangent distance of Simard, LeCun and Denker 1993. So a crop of 2 % costs little.
    """
    basis = np.linalg.qr(np.swapaxes(_weighted(_tangents(one))[..., COMPARED], 1, 2)).Q
    length: Floats = np.linalg.norm(np.einsum("nkt,nk->nt", basis, unit(other[:, COMPARED])), axis=1)
    return length


def _tangents(descriptors: Floats) -> Floats:
    """(N, 5, SIDE, SIDE): the thumbnails and how they change when moved and stretched."""
    spectrum = np.zeros((len(descriptors), SIDE, SIDE), np.float32)
    spectrum[:, _KEPT] = descriptors / _WEIGHT
    image = idctn(spectrum, axes=(1, 2), norm="ortho")
    by_y, by_x = np.gradient(image, axis=(1, 2))
    y, x = ((_V + 0.5) / SIDE - 0.5), ((_U + 0.5) / SIDE - 0.5)
    return np.stack([image, by_x, by_y, x * by_x, y * by_y], axis=1).astype(np.float32)


def _weighted(images: Floats) -> Floats:
    coefficients: Floats = dctn(images, axes=(-2, -1), norm="ortho")[..., _KEPT] * _WEIGHT
    return coefficients


def unit(vectors: Floats) -> Floats:
    """Scaled to length 1 along the last axis; zeros stay zeros."""
    scaled: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)
    return scaled
