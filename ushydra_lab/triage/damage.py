"""Damaged copies of an image, which no answer should be given to: how many of them does triage let pass?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ushydra_lab.triage.pixels import Grey

DARK = 0.15


def _noise(grey: Grey) -> Grey:
    return np.random.default_rng(grey.shape).integers(0, 256, grey.shape, dtype=np.uint8)


def _gradient(grey: Grey) -> Grey:
    rows, columns = grey.shape
    return np.tile(np.linspace(0, 255, columns).astype(np.uint8), (rows, 1))


DAMAGES: dict[str, Callable[[Grey], Grey]] = {
    "black": np.zeros_like,
    "noise": _noise,
    "gradient": _gradient,
    "inverted": lambda grey: 255 - grey,
    "dark": lambda grey: (DARK * grey.astype(np.float32)).astype(np.uint8),
    "upside_down": lambda grey: grey[::-1].copy(),
}
"""Kind -> the damaged copy of an image (rows, columns). `dark` has 0.15 of the brightness."""
