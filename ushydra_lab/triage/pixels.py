"""Rules on the grey values of an image as it was decoded: what no network should be asked about.

Thresholds come from 259 real images (HC18, FETAL_PLANES_DB, Fetus Framework, CAMUS, lung POCUS) and damaged copies
of them, each about half-way between the two; the numbers stand beside each. No network or label had a part in it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Grey = NDArray[np.uint8]
SMALLEST = 64
"""px of the shorter side; the smallest frames of a public data set are 112 px (EchoNet-Dynamic)."""
DARKEST = 64
"""Of 255, the 99.5th percentile: 127 and more in real images, at most 38 in copies at 0.15 of their brightness."""
ROUGHNESS = 1.0
"""Grey levels: 1.5 and more in 122 real images, whose speckle varies by px; at most 0.7 in black or a gradient."""
CORRELATION = 0.5
"""Of neighbouring px: 0.94 and more in real images, 0.00 in white noise."""
BRIGHTEST = 128
"""Of 255, the median: at most 109 in real images, which are dark around and between tissue; 146 in inverted ones."""


def pixel_reasons(grey: Grey) -> tuple[str, ...]:
    """Why an image (rows, columns) is refused: `too_small`, `too_dark`, `no_region`, `inverted`; of most none.

    `no_region`: flat, smooth or noise, so no scan is seen. Z-scoring hides darkness from a network, hence `too_dark`.
    """
    if min(grey.shape) < SMALLEST:
        return ("too_small",)
    counts = np.array(Image.fromarray(grey).histogram())
    cumulative = np.cumsum(counts) / grey.size
    dark = np.searchsorted(cumulative, 0.995) < DARKEST
    bright = np.searchsorted(cumulative, 0.5) > BRIGHTEST
    found = {"too_dark": dark, "no_region": not _speckled(grey, _variance(counts)), "inverted": bright}
    return tuple(reason for reason, holds in found.items() if holds)


def _variance(counts: NDArray[np.int64]) -> float:
    """Of grey values, by how many px have each."""
    levels, total = np.arange(len(counts)), counts.sum()
    return float(counts @ levels**2 / total - (counts @ levels / total) ** 2)


def _speckled(grey: Grey, variance: float) -> bool:
    """Whether px differ from their neighbours, but less than from any other px."""
    values = grey.astype(np.int16)
    first = [np.diff(values, axis=axis) for axis in (0, 1)]
    second = [np.diff(each, axis=axis) for axis, each in enumerate(first)]
    roughness = np.sqrt(np.mean([_power(each) for each in second]))
    correlation = 1 - np.mean([_power(each) for each in first]) / (2 * max(variance, 1e-9))
    return bool(roughness > ROUGHNESS and correlation > CORRELATION)


def _power(values: NDArray[np.int16]) -> float:
    """Mean square, in single precision along a row and double precision over rows."""
    single = values.astype(np.float32)
    return float(np.einsum("ij,ij->i", single, single).sum(dtype=np.float64) / single.size)
