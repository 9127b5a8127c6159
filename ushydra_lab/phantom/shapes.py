"""Building blocks of the scenes: outlines with soft edges, lines, uneven texture. Lengths are mm."""

from dataclasses import dataclass
from math import cos, sin

import numpy as np
from scipy.ndimage import map_coordinates

from ushydra_lab.phantom.speckle import Array, Tissue

Point = tuple[float, float]


def cover(distance: Array, edge: float = 0.08) -> Array:
    """1 inside (distance < 0), 0 outside, a ramp of `edge` mm between."""
    ramp: Array = np.clip(0.5 - distance / np.float32(edge), 0, 1)
    return ramp


@dataclass(frozen=True)
class Ellipse:
    x: float
    y: float
    a: float
    b: float
    tilt: float = 0.0

    def distance(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Signed distance to the outline (mm, first order) and the y component of its outward normal."""
        c, s = cos(self.tilt), sin(self.tilt)
        u, v = (c * (x - self.x) + s * (y - self.y)), (c * (y - self.y) - s * (x - self.x))
        rho = np.sqrt((u / self.a) ** 2 + (v / self.b) ** 2) + 1e-6
        gu, gv = u / (self.a**2 * rho), v / (self.b**2 * rho)
        norm = np.sqrt(gu**2 + gv**2) + 1e-6
        return (rho - 1) / norm, (s * gu + c * gv) / norm


def segment(x: Array, y: Array, start: Point, end: Point) -> Array:
    """Distance (mm) to the straight line between two points."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    t = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy), 0, 1)
    return np.hypot(x - start[0] - t * dx, y - start[1] - t * dy)


def texture(rng: np.random.Generator, x: Array, y: Array, size_mm: tuple[float, float]) -> Array:
    """Smooth random field, variance about 1, grain `size_mm` (x, y): the unevenness of tissue."""
    grid = rng.standard_normal((64, 64)).astype(np.float32)
    at = np.stack([y / size_mm[1] + 32, x / size_mm[0] + 32])
    field: Array = map_coordinates(grid * np.float32(1.5), at, order=1, mode="grid-wrap", output=np.float32)
    return field


class Painter:
    """Paints organs over one another at fixed sample points (mm); `tissue` is what has been painted."""

    def __init__(self, rng: np.random.Generator, x: Array, y: Array, background_db: float) -> None:
        self.rng, self.x, self.y = rng, x.astype(np.float32), y.astype(np.float32)
        self.scatter = np.full_like(self.x, background_db)
        self.specular = np.zeros_like(self.x)
        self.attenuation = np.full_like(self.x, -0.02)
        self.coarse = texture(rng, self.x, self.y, (2.2, 1.4))
        self.streaks = texture(rng, self.x, self.y, (4.0, 0.8))

    @property
    def tissue(self) -> Tissue:
        return Tissue(self.scatter, self.specular, self.attenuation)

    def fill(self, distance: Array, level_db: Array | float, edge: float = 0.3) -> None:
        """Scatterers of `level_db` where distance < 0, `edge` mm soft."""
        self.scatter += cover(distance, edge) * (level_db - self.scatter)

    def interface(self, strength: Array | float, distance: Array, width: float) -> None:
        """A smooth reflector where distance = 0, `width` mm wide."""
        self.specular += strength * cover(np.abs(distance) - width / 2)

    def jitter(self, scale: float) -> float:
        return float(self.rng.normal(0, scale))

    def bone(self, start: Point, end: Point, radius: float, strength: float) -> None:
        distance = segment(self.x, self.y, start, end) - radius + 0.25 * self.streaks
        self.fill(distance, 12.0 + 6 * self.streaks, 0.8)
        self.specular += 2.5 * strength * cover(distance, 0.6) * cover(self.coarse - 0.3, 2)
        self.attenuation += cover(distance, 0.5) * 5.0
