"""What the four planes share: pose of the fetus, uterus, fluid, distractors, and tools to paint in body axes."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import cos, pi, sin
from typing import ClassVar

import numpy as np

from ushydra_lab.phantom.shapes import Ellipse, Painter, Point, cover, segment, texture
from ushydra_lab.phantom.speckle import Array, Tissue
from ushydra_lab.phantom.warp import warped

FLUID_DB = -48.0
WARP_MM = (20.0, 45.0)
PROBE_MM = 9.0  # what the arc of a curved probe takes of the image's height


@dataclass(frozen=True)
class Pose:
    """Body axes in the image: u along (cos tilt, sin tilt), v across, mirrored where flip is -1; lengths in mm.

    a, b: half axes of the section's outline; frame: depth that the image shows; variation: seed of all else.
    """

    a: float
    b: float
    tilt: float
    flip: int
    shift: Point
    frame: float
    variation: int

    def to_body(self, x: Array, y: Array) -> tuple[Array, Array]:
        c, s = cos(self.tilt), sin(self.tilt)
        x, y = x - self.shift[0], y - self.shift[1]
        return c * x + s * y, self.flip * (c * y - s * x)

    def to_image(self, u: float, v: float) -> Point:
        c, s = cos(self.tilt), sin(self.tilt)
        v = v * self.flip
        return c * u - s * v + self.shift[0], s * u + c * v + self.shift[1]


class Womb(Painter, ABC):
    """Paints a plane at sample points (mm, image axes). A plane gives `body` and the ranges of its pose."""

    A_MM: ClassVar[tuple[float, float]]
    """Range of the outline's half axis a."""
    ROUNDNESS: ClassVar[tuple[float, float]]
    """Range of b / a."""
    TILTS: ClassVar[tuple[float, ...]] = (0.0,)
    """Usual directions of u in the image."""
    TILT_SD: ClassVar[float] = 0.25

    def __init__(self, pose: Pose, x: Array, y: Array) -> None:
        rng = np.random.default_rng(pose.variation)
        super().__init__(rng, *warped(rng, x.astype(np.float32), y.astype(np.float32), WARP_MM), background_db=-6)
        self.pose, self.a, self.b = pose, pose.a, pose.b
        self.u, self.v = pose.to_body(self.x, self.y)
        self.mottle = texture(self.rng, self.x, self.y, (7.0, 5.0))

    @classmethod
    def pose_of(cls, rng: np.random.Generator) -> Pose:
        a = rng.uniform(*cls.A_MM)
        b = a * rng.uniform(*cls.ROUNDNESS)
        tilt = float(rng.choice(cls.TILTS) + rng.normal(0, cls.TILT_SD))
        height = 2 * float(np.hypot(a * sin(tilt), b * cos(tilt)))
        frame = max(height + PROBE_MM + rng.uniform(6, 26), rng.uniform(52, 72))
        above = (frame - PROBE_MM - height) * rng.beta(2, 3)
        shift = (rng.normal(0, 0.06) * frame, PROBE_MM + above + (height - frame) / 2)
        return Pose(a, b, tilt, int(rng.choice([-1, 1])), shift, frame, int(rng.integers(2**63)))

    def paint(self) -> Tissue:
        outline = self.oval(0, 0, self.a, self.b)[0]
        self.uterus(outline)
        self.limb()
        self.body(outline)
        return self.tissue

    @abstractmethod
    def body(self, outline: Array) -> None:
        """Paint the section; `outline` is the signed distance to its skin (negative inside)."""

    def oval(self, u: float, v: float, a: float, b: float, tilt: float = 0.0) -> tuple[Array, Array]:
        """Signed distance to an ellipse in body axes, and how far its normal points along the beam (-1 to 1)."""
        tilt = self.pose.tilt + self.pose.flip * tilt
        return Ellipse(*self.pose.to_image(u, v), a, b, tilt).distance(self.x, self.y)

    def line(self, start: Point, end: Point) -> Array:
        """Distance to a straight line between two points in body axes."""
        return segment(self.x, self.y, self.pose.to_image(*start), self.pose.to_image(*end))

    def angle(self) -> Array:
        """Direction of every point from the body's middle, from -pi to pi; 0 is along u."""
        angle: Array = np.arctan2(self.v, self.u)
        return angle

    def interface(self, strength: Array | float, distance: Array, width: float) -> None:
        self.specular += strength * cover(np.abs(distance) - width / 2, 0.35)

    def wall(self, shape: tuple[Array, Array], strength: float, width: float = 0.4) -> None:
        """A smooth wall, bright where the beam meets it at right angles."""
        distance, facing = shape
        self.interface(strength * (0.15 + 0.85 * np.abs(facing) ** 3), distance, width)

    def vessel(self, shape: tuple[Array, Array], strength: float = 1.5) -> None:
        self.fill(shape[0], FLUID_DB, 0.5)
        self.wall(shape, strength)

    def ossified(self, distance: Array, level_db: float = 14.0, shadow: float = 8.0) -> None:
        """Bone where distance < 0: bright, uneven, and dark behind (`shadow` in dB per mm of bone)."""
        self.fill(distance, level_db + 3 * self.coarse, 0.5)
        self.attenuation += cover(distance, 0.5) * shadow

    def spine(self, u: float) -> None:
        """Three ossification centres around the canal, in muscle."""
        size = 0.075 * self.a
        self.fill(self.oval(u, 0, 0.24 * self.a, 0.3 * self.a)[0], -9 + 2 * self.coarse, 1.5)
        self.fill(self.oval(u - 0.03 * self.a, 0, 0.07 * self.a, 0.07 * self.a)[0], -30, 0.8)
        for du, dv in ((0.11, 0.0), (-0.1, 0.11), (-0.1, -0.11)):
            self.ossified(self.oval(u + du * self.a, dv * self.a, size, 0.85 * size)[0], 15, 8.0)

    def uterus(self, outline: Array) -> None:
        """Abdominal wall in layers, myometrium and placenta; around the body a pocket of fluid."""
        depth = self.y + self.pose.frame / 2 + self.x**2 / 120 - 6
        layers = texture(self.rng, self.x, depth, (30.0, 1.6))
        self.scatter += 2.0 * self.mottle + 1.5 * self.coarse + self.rng.uniform(-3, 2)
        wall = self.rng.uniform(0.04, 0.16) * self.pose.frame
        placenta = wall + self.rng.uniform(-0.1, 0.2) * self.pose.frame
        self.fill(depth - placenta + self.mottle, self.rng.uniform(-4, 1) + 1.0 * self.coarse, 1.0)
        self.fill(depth - wall, -7 + 4 * layers + 1.5 * self.streaks, 2.0)
        self.interface(1.2 * cover(self.coarse), depth - wall, 0.5)
        lobes, turn = self.rng.uniform(1, 8), self.rng.uniform(0, 2 * pi)
        gap = self.rng.uniform(-1, 9) + lobes * np.cos(self.angle() - turn) + 1.5 * np.cos(3 * self.angle() + turn)
        pocket = np.maximum(outline - gap, placenta - depth + 0.8 * self.mottle)
        self.fill(pocket, FLUID_DB, 0.6)
        self.attenuation -= 0.12 * cover(np.maximum(pocket, -outline), 1.0)

    def limb(self) -> None:
        """In some images a fetal limb in section beside the body: a small bone with its shadow."""
        if self.rng.random() > 0.35:
            return
        angle, radius = self.rng.uniform(0, 2 * pi), self.rng.uniform(4, 7)
        reach = 1.0 + (radius + self.rng.uniform(0, 3)) / self.b
        u, v = reach * self.a * cos(angle), reach * self.b * sin(angle)
        self.fill(self.oval(u, v, radius * 1.2, radius, angle)[0], -8 + 3 * self.coarse, 0.5)
        self.ossified(self.oval(u, v, 2.2, 1.1, angle)[0])
