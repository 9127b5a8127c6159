"""What an annotated ultrasound image looks like, in figures: the same functions for real and for phantom images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.floating]
"""An image (H, W), 0 black to 1 white."""
BAND = (0.12, 0.4)
"""Spatial frequencies (cycles per px) that the slope is fitted to: speckle and edges, without what is below."""
MIDDLE = 0.6
"""Part of a box's width that its lines are measured in: they end before the box does."""


def nt_statistics(grey: Grey, row: Mapping[str, float]) -> dict[str, float]:
    """row: the edges of the NT box, px."""
    height, width = grey.shape
    x1, y1, x2, y2 = (float(row[f"nt_{edge}"]) for edge in ("x1", "y1", "x2", "y2"))
    lumen, walls = lumen_and_walls(grey, (x1, y1, x2, y2))
    return {
        "lumen": lumen,
        "walls": walls,
        "image": float(grey.mean()),
        "x": (x1 + x2) / 2 / width,
        "y": (y1 + y2) / 2 / height,
        "box height": (y2 - y1) / height,
        "slope": spectral_slope(grey),
    }


def head_statistics(grey: Grey, row: Mapping[str, float]) -> dict[str, float]:
    """row: end points of OFD and BPD, px."""
    height, width = grey.shape
    ends = np.array([[float(row[f"{name}_{axis}"]) for axis in "xy"] for name in ("ofd_1", "ofd_2", "bpd_1", "bpd_2")])
    x, y = ends.mean(axis=0)
    return {
        "skull": skull_grey(grey, ends),
        "image": float(grey.mean()),
        "x": float(x) / width,
        "y": float(y) / height,
        "OFD": float(np.hypot(*(ends[1] - ends[0]))) / width,
        "slope": spectral_slope(grey),
    }


def lumen_and_walls(grey: Grey, box: tuple[float, float, float, float]) -> tuple[float, float]:
    """Mean over the columns in the middle of an NT box: the sample deepest below what is brightest above and below it,
    and the brighter of these two.
    """
    x1, y1, x2, y2 = box
    inset = (1 - MIDDLE) / 2 * (x2 - x1)
    first = int(x1 + inset)
    columns = grey[int(y1) : int(np.ceil(y2)), first : max(first + 1, int(x2 - inset))]
    above = np.maximum.accumulate(columns, axis=0)
    below = np.maximum.accumulate(columns[::-1], axis=0)[::-1]
    deepest = (np.argmax(np.minimum(above, below) - columns, axis=0), np.arange(columns.shape[1]))
    return float(columns[deepest].mean()), float(np.maximum(above[deepest], below[deepest]).mean())


def skull_grey(grey: Grey, ends: NDArray[np.floating]) -> float:
    """The 90th percentile of the grey in a ring around the outline that the four end points give."""
    middle, (along, across) = ends.mean(axis=0), (ends[1::2] - ends[::2]) / 2
    y, x = (np.arange(n) + 0.5 for n in grey.shape)
    x, y = np.meshgrid(x - middle[0], y - middle[1])
    a, b = np.hypot(*along), np.hypot(*across)
    u = (x * along[0] + y * along[1]) / a**2
    v = (y * along[0] - x * along[1]) / (a * b)
    radius = np.hypot(u, v)
    ring = (radius > 0.88) & (radius < 1.05)
    return float(np.percentile(grey[ring], 90))


def spectral_slope(grey: Grey) -> float:
    """Slope of the radial power spectrum of the middle square, log10 against log10, over BAND."""
    side = min(grey.shape)
    top, left = ((n - side) // 2 for n in grey.shape)
    square = grey[top : top + side, left : left + side]
    window = np.hanning(side)
    power = np.abs(np.fft.fft2((square - square.mean()) * window[:, None] * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    edges = np.linspace(*BAND, 37)
    ring = np.digitize(frequency, edges).ravel()
    total = np.bincount(ring, power.ravel(), 38)[1:37]
    mean = total / np.bincount(ring, minlength=38)[1:37]
    middles = (edges[:-1] + edges[1:]) / 2
    return float(np.polyfit(np.log10(middles), np.log10(mean + 1e-12), 1)[0])
