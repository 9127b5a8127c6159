"""How annotators differ: what they make of the truth. Reference measurements in mm stay true."""

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from ushydra_lab.phantom.hospitals import Subject, View
from ushydra_lab.phantom.speckle import Array

Annotations = dict[str, float | str]
Labels = NDArray[np.uint8]
TIGHT = 0.13
"""Part of a box's height that is cut off above and below at severity 1: real boxes end on the lines."""
WAVES, LENGTHS = 3, (0.08, 0.3)
"""Waves in which a traced outline leaves the true one, and their lengths in parts of the image's height."""


@dataclass(frozen=True)
class Annotator:
    """The habits of one hospital's annotators.

    margin, offset: by what parts of its size a box is enlarged and moved; reach: by what part end points lie further
    out; traced_px: how far outside the border outlines are traced.
    """

    margin: float
    offset: tuple[float, float]
    reach: float
    traced_px: float

    @classmethod
    def of(cls, rng: np.random.Generator, spread: float) -> "Annotator":
        return cls(
            margin=rng.normal(0, 0.03 * spread),
            offset=(rng.normal(0, 0.02 * spread), rng.normal(0, 0.02 * spread)),
            reach=rng.normal(0, 0.008 * spread),
            traced_px=rng.normal(0, 1.0 * spread),
        )

    def read(
        self, rng: np.random.Generator, truth: Annotations, shape: tuple[int, int], severity: float
    ) -> Annotations:
        """The annotations of an image of that shape; plane, quality and mm as they are."""
        given, limits = dict(truth), np.array([shape[1], shape[0]], float)
        for name in [key.removesuffix("_x1") for key in truth if key.endswith("_x1")]:
            keys = [f"{name}_{edge}" for edge in ("x1", "y1", "x2", "y2")]
            edges = np.array([float(truth[key]) for key in keys]).reshape(2, 2)
            given |= zip(keys, self._box(rng, edges, limits, severity), strict=True)
        for name in [key.removesuffix("_1_x") for key in truth if key.endswith("_1_x")]:
            keys = [f"{name}_{end}_{axis}" for end in (1, 2) for axis in "xy"]
            ends = np.array([float(truth[key]) for key in keys]).reshape(2, 2)
            given |= zip(keys, self._ends(rng, ends, limits, severity), strict=True)
        return given

    def _box(self, rng: np.random.Generator, edges: Array, limits: Array, severity: float) -> list[float]:
        middle, half = edges.mean(axis=0), (edges[1] - edges[0]) / 2
        middle = middle + half * (self.offset + rng.normal(0, 0.03 * severity, 2))
        tight = np.array([0, 2 * TIGHT * severity**0.5])
        half = half * (1 + self.margin - tight + rng.normal(0, 0.03 * severity, 2))
        corners = np.stack([middle - half, middle + half]).round()
        return [float(edge) for edge in np.clip(corners, 0, limits).ravel()]

    def _ends(self, rng: np.random.Generator, ends: Array, limits: Array, severity: float) -> list[float]:
        middle, half = ends.mean(axis=0), (ends[1] - ends[0]) / 2 * (1 + self.reach)
        slips = rng.normal(0, 0.006 * severity * np.hypot(*half), (2, 2))
        points = np.stack([middle - half, middle + half]) + slips
        return [round(float(px), 3) for px in np.clip(points, 0, limits).ravel()]

    def trace(self, rng: np.random.Generator, subject: Subject, view: View, severity: float) -> Labels | None:
        """The label of every pixel as outlines are traced by hand: in waves, outside or inside the border."""
        x, y = view.grid()
        if subject.labels(x[:1], y[:1]) is None:
            return None
        away_x, away_y = _waves(rng, x[0], y[:, 0])
        labels = subject.labels(x + severity * away_x, y + severity * away_y)
        grown = maximum_filter if self.traced_px > 0 else minimum_filter
        traced: Labels = grown(labels, 2 * round(abs(self.traced_px)) + 1)
        return np.where(view.visible(x, y), traced, 0).astype(np.uint8)


def _waves(rng: np.random.Generator, x: Array, y: Array) -> tuple[Array, Array]:
    """Displacements (mm) at columns x and rows y (mm), each (rows, columns): waves as products of columns and rows."""
    depth = float(y[-1] - y[0])
    away = np.zeros((2, len(y), len(x)), np.float32)
    for _ in range(WAVES):
        direction, phase, length = rng.uniform(0, 2 * pi), rng.uniform(0, 2 * pi), depth * rng.uniform(*LENGTHS)
        u, v = x * (2 * pi / length * cos(direction)) + phase, y * (2 * pi / length * sin(direction))
        wave = np.outer(np.cos(v), np.sin(u)) + np.outer(np.sin(v), np.cos(u))
        for axis, shift in enumerate(rng.normal(0, 0.011 * length, 2)):
            away[axis] += np.float32(shift) * wave
    return away[0], away[1]
