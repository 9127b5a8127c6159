"""Scene `heart`: apical four-chamber view of an adult heart, with the cavity of the left ventricle (LV) as mask.

After the apical views of CAMUS (Leclerc et al. 2019, IEEE Trans. Med. Imaging 38(9)) and EchoNet-Dynamic
(Ouyang et al. 2020, Nature 580). Heart frame: mm, origin at the apex of the LV cavity, u towards its lateral
wall (right in the image), v along its long axis to the mitral valve at v = length.
"""

from dataclasses import dataclass
from math import cos, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.phantom.hospitals import View
from ushydra_lab.phantom.shapes import Ellipse, Painter, Point, cover, segment, texture
from ushydra_lab.phantom.speckle import Array, Tissue
from ushydra_lab.phantom.warp import warped

WIDEST = 0.55
"""Part of the length at which the LV is widest."""
ANNULUS = 0.8
"""Width of the LV at the mitral valve over the greatest width."""
WARP_MM = (50.0, 110.0)
OVERLAP_MM = 2.0  # ventricle and atrium share this much: no wall between them
BLOOD_DB, MUSCLE_DB = -38.0, -5.0


@dataclass(frozen=True)
class Heart:
    """length, width: of the LV cavity; wall: its myocardium; atrium: height of the atria; rv: width of the right
    ventricle; opening: of the mitral valve (0 closed, 1 open); apex: of the LV cavity in the image (x, depth).
    """

    length: float
    width: float
    wall: float
    atrium: float
    rv: float
    opening: float
    bend: float
    apex: Point
    tilt: float
    variation: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Heart":
        """Systole (0 end-diastole, 1 end-systole) narrows the LV, thickens its wall and fills the atria."""
        systole, strength = rng.beta(0.6, 0.6), rng.uniform(0.2, 1.0)
        squeeze = systole * strength
        width = rng.uniform(43, 56) * (1 - 0.36 * squeeze)
        return cls(
            length=rng.uniform(78, 95) * rng.uniform(0.8, 1.0) * (1 - 0.16 * squeeze),
            width=width,
            wall=rng.uniform(8, 11) * (1 + 0.3 * squeeze),
            atrium=rng.uniform(36, 50) * (1 + 0.15 * squeeze),
            rv=rng.uniform(26, 36) * (1 - 0.2 * squeeze),
            opening=float(np.clip(rng.normal(0.3, 0.5), 0, 1)),
            bend=rng.normal(2, 1.5),
            apex=(rng.normal(8, 5), rng.uniform(16, 28)),
            tilt=rng.normal(0.0, 0.11),
            variation=int(rng.integers(2**63)),
        )

    @property
    def size_mm(self) -> tuple[float, float]:
        depth = self.apex[1] + self.length + self.atrium + 20
        return 1.2 * depth, depth

    def to_heart(self, x: Array, y: Array) -> tuple[Array, Array]:
        x, y = x - self.apex[0], y + (self.size_mm[1] / 2 - self.apex[1])
        u, v = cos(self.tilt) * x - sin(self.tilt) * y, sin(self.tilt) * x + cos(self.tilt) * y
        return warped(np.random.default_rng(self.variation), u - self.bend * np.sin(v * (pi / self.length)), v, WARP_MM)

    def side(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Signed distance to the LV's side wall, which is open at the base, and its outward normal along v."""
        widest, half = WIDEST * self.length, self.width / 2
        base = (self.length - widest) / sqrt(1 - ANNULUS**2)
        top, bottom = (Ellipse(0, widest, half, height).distance(u, v) for height in (widest, base))
        return np.where(v < widest, top[0], bottom[0]), np.where(v < widest, top[1], bottom[1])

    def tissue(self, x: Array, y: Array) -> Tissue:
        return Anatomy(self, *self.to_heart(x, y)).paint()

    def labels(self, x: Array, y: Array) -> NDArray[np.uint8]:
        """1 in the LV cavity, up to the plane of the mitral annulus, whatever the leaflets do."""
        u, v = self.to_heart(x, y)
        return ((self.side(u, v)[0] < 0) & (v < self.length)).astype(np.uint8)

    def annotations(self, rng: np.random.Generator, view: View) -> dict[str, float | str]:
        return {}


class Anatomy(Painter):
    """The heart at fixed sample points (heart frame)."""

    def __init__(self, heart: Heart, u: Array, v: Array) -> None:
        super().__init__(np.random.default_rng(heart.variation), u, v, background_db=-18)
        self.heart = heart
        self.grain = texture(self.rng, self.x, self.y, (6.0, 5.0))
        self.side, self.across = heart.side(self.x, self.y)
        self.septum = -(heart.width / 2 + heart.wall)

    def paint(self) -> Tissue:
        ventricle, left, right = self.right_ventricle(), self.left_atrium(), self.right_atrium()
        muscle = np.maximum(self.side - self.heart.wall, self.y - self.heart.length - 3)
        outer = np.minimum.reduce([muscle, ventricle - 4.5, left - 2.5, right - 2.5])
        self.surroundings(outer)
        self.fill(outer, -9 + 4 * self.grain, 1.0)
        self.fill(muscle, MUSCLE_DB + 4 * np.abs(self.across) + 2.5 * self.grain + 1.5 * self.coarse, 1.0)
        self.blood(np.minimum(np.maximum(ventricle, 1.5 - muscle), right))
        self.blood(np.minimum(np.maximum(self.side, self.y - self.heart.length - OVERLAP_MM), left))
        self.valves()
        self.dropout()
        return self.tissue

    def blood(self, cavity: Array) -> None:
        self.interface(0.8 * cover(self.coarse), cavity, 0.8)
        self.fill(cavity + 0.5 * self.coarse, BLOOD_DB + 3 * self.grain, 1.2)

    def interface(self, strength: Array | float, distance: Array, width: float) -> None:
        self.specular += strength * cover(np.abs(distance) - width / 2, 0.6)

    def right_ventricle(self) -> Array:
        heart = self.heart
        shape = Ellipse(self.septum - 0.38 * heart.rv, 0.66 * heart.length, 0.62 * heart.rv, 0.46 * heart.length, 0.16)
        return np.maximum(shape.distance(self.x, self.y)[0], self.y - 0.96 * heart.length - OVERLAP_MM)

    def left_atrium(self) -> Array:
        heart, wide = self.heart, self.rng.uniform(18, 22)
        shape = Ellipse(-1, heart.length + 0.45 * heart.atrium, wide, 0.55 * heart.atrium, self.jitter(0.1))
        return np.maximum(shape.distance(self.x, self.y)[0], heart.length - OVERLAP_MM - self.y)

    def right_atrium(self) -> Array:
        heart, wide = self.heart, self.rng.uniform(17, 22)
        middle = -1 - 22 - self.rng.uniform(3, 6) - wide, 0.96 * heart.length + 0.42 * heart.atrium
        shape = Ellipse(*middle, wide, 0.52 * heart.atrium, self.jitter(0.1))
        return np.maximum(shape.distance(self.x, self.y)[0], 0.96 * heart.length - OVERLAP_MM - self.y)

    def surroundings(self, outer: Array) -> None:
        """Chest wall above, lung beside the heart, and the bright pericardium."""
        self.scatter += 4 * self.grain + 3 * self.streaks
        depth = self.y + self.heart.apex[1]
        layers = texture(self.rng, self.x, self.y, (25.0, 2.5))
        self.fill(depth - self.rng.uniform(8, 13), -6 + 4 * layers, 4.0)
        sac = 5 * cover(self.grain - 0.6, 2)
        self.fill(np.abs(outer) - 1.3, sac, 1.0)
        self.interface(0.5 * sac, outer, 1.2)

    def leaflet(self, hinge: Point, tip: Point, width: float = 0.8) -> None:
        distance = segment(self.x, self.y, hinge, tip)
        self.fill(distance - width, 1 + 2 * self.coarse, 0.8)
        self.interface(1.2, distance, 0.8)

    def valves(self) -> None:
        """Leaflets between closed (in the plane of the annulus) and open (into the ventricles)."""
        heart = self.heart
        for middle, half, plane in (
            (0.0, ANNULUS * heart.width / 2, heart.length),
            (self.septum - 0.4 * heart.rv, 0.5 * heart.rv, 0.96 * heart.length),
        ):
            turn = heart.opening * self.rng.uniform(1.0, 1.3) - 0.1
            for side in (-1, 1):
                hinge = (middle + side * half, plane)
                tip = (hinge[0] - side * half * 0.95 * cos(turn), plane - half * sin(turn))
                self.leaflet(hinge, tip)
                self.fill(np.hypot(self.x - hinge[0], self.y - plane) - 2.0, 3, 1.0)

    def dropout(self) -> None:
        """Lateral wall and atrial septum run along the beam and fade, more in some than in others."""
        heart = self.heart
        lateral = cover(-self.x, 0.5 * heart.width) * cover(0.3 * heart.length - self.y, 0.3 * heart.length)
        atrial = cover(np.abs(self.x + 24) - 5, 4) * cover(heart.length + 8 - self.y, 6)
        outside = cover(-self.side, 2.0)
        self.scatter -= outside * (self.rng.uniform(0, 12) * lateral + self.rng.uniform(0, 8) * atrial)
        self.specular *= 1 - 0.7 * outside * lateral
