"""Scene `nt`: mid-sagittal view of a fetus of 11-14 weeks with its nuchal translucency (NT).

The fetus lies on its back, as in a standard NT plane. Fetus frame: mm, origin in the middle of the head, x
towards the feet, y towards the back. `Fetus.tissue` maps image coordinates into it (position, tilt, facing).
"""

from dataclasses import dataclass
from math import cos, sin

import numpy as np

from ushydra_lab.phantom.hospitals import View
from ushydra_lab.phantom.shapes import Ellipse, Painter, cover, texture
from ushydra_lab.phantom.speckle import Array, Tissue

WALL_MM = 0.4
MARGIN_PX = (2.0, 6.0)
# Place (x, y), half width and half height of dark nuclei and cisterns, in the head's half axes: thalami,
# midbrain, intracranial translucency, cisterna magna.
DARK = ((0.2, 0.12, 0.32, 0.24), (0.35, -0.3, 0.3, 0.2), (0.3, 0.45, 0.3, 0.12), (0.2, 0.78, 0.3, 0.09))

NASAL_BONE = ((1.02, -0.6), (1.2, -0.52))
"""Its ends (x, y), in the head's half axes."""


@dataclass(frozen=True)
class Strip:
    """The NT: lumen of varying thickness around a parabola, `thickness` mm (inner to inner) at `widest`."""

    thickness: float
    widest: float
    left: float
    right: float
    level: float
    bottom: float
    curvature: float

    def height(self, x: Array) -> tuple[Array, Array]:
        """y of the centre line and the cosine of its slope."""
        slope = -self.curvature * (x - self.bottom)
        return self.level + slope * (x - self.bottom) / 2, 1 / np.sqrt(1 + slope**2)

    def lumen(self, x: Array) -> Array:
        """Thickness (mm) along the strip: flat around the widest place, tapering to both ends."""
        reach = np.where(x < self.widest, self.widest - self.left, self.right - self.widest)
        u = (x - self.widest) / reach
        return self.thickness * (0.25 + 0.75 * np.exp(-1.1 * np.abs(u) ** 2.5))

    def depth(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Signed distance from the centre line (mm, positive behind it) and the slope's cosine."""
        centre, cosine = self.height(x)
        return (y - centre) * cosine, cosine


@dataclass(frozen=True)
class Fetus:
    """A fetus and its place in the image; `a`, `b` are the head's half axes (mm), b towards the forehead."""

    a: float
    b: float
    strip: Strip
    facing: int
    tilt: float
    shift: tuple[float, float]
    variation: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Fetus":
        crown_rump = rng.uniform(45, 84)
        biparietal = 19.5 + (crown_rump - 45) / 39 * 6.5 + rng.normal(0, 0.5)
        b = 0.59 * biparietal
        a = b * rng.uniform(0.84, 0.94)
        thickness = float(np.clip(rng.gamma(9.0, 0.2), 1.0, 3.5))
        left = rng.uniform(-0.25, 0.1) * a
        right = left + rng.uniform(1.6, 2.5) * a
        strip = Strip(
            thickness=thickness,
            widest=left + rng.uniform(0.35, 0.6) * (right - left),
            left=left,
            right=right,
            level=rng.uniform(1.24, 1.36) * b + thickness / 2,
            bottom=rng.uniform(0.5, 1.3) * a,
            curvature=1 / rng.uniform(90, 220),
        )
        shift = (rng.uniform(-0.12, 0.12) * a, rng.uniform(-0.04, 0.04) * b)
        facing, tilt = int(rng.choice([-1, 1])), rng.uniform(-0.09, 0.09)
        return cls(a, b, strip, facing, tilt, shift, int(rng.integers(2**63)))

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width (head and thorax) and height (forehead to back), mm."""
        return 4.2 * self.a, self.b + self.strip.level + self.strip.thickness / 2

    @property
    def middle(self) -> tuple[float, float]:
        return 0.95 * self.a, (self.strip.level + self.strip.thickness / 2 - self.b) / 2

    def to_fetus(self, x: Array, y: Array) -> tuple[Array, Array]:
        u, v = self.facing * (x - self.shift[0]), y - self.shift[1]
        c, s = cos(self.tilt), sin(self.tilt)
        return c * u + s * v + self.middle[0], c * v - s * u + self.middle[1]

    def to_image(self, x: Array, y: Array) -> tuple[Array, Array]:
        u, v = x - self.middle[0], y - self.middle[1]
        c, s = cos(self.tilt), sin(self.tilt)
        return self.facing * (c * u - s * v) + self.shift[0], c * v + s * u + self.shift[1]

    def tissue(self, x: Array, y: Array) -> Tissue:
        return Anatomy(self, *self.to_fetus(x, y)).paint()

    def labels(self, x: Array, y: Array) -> None:
        return None

    def annotations(self, rng: np.random.Generator, view: View) -> dict[str, float | str]:
        """NT box (edges, px): the visible strip and its lines, with a few px to spare; thickness in mm."""
        along = np.linspace(self.strip.left, self.strip.right, 200, dtype=np.float32)
        centre, cosine = self.strip.height(along)
        half = (self.strip.lumen(along) / 2 + WALL_MM) / cosine
        x, y = self.to_image(np.tile(along, 2), np.concatenate([centre - half, centre + half]))
        seen = view.visible(x, y)
        column, row = (v[seen] for v in view.to_px(x, y))
        margin = rng.uniform(*MARGIN_PX, size=4)
        height, width = view.shape
        return {
            "nt_x1": round(max(0.0, float(column.min() - margin[0])), 2),
            "nt_y1": round(max(0.0, float(row.min() - margin[1])), 2),
            "nt_x2": round(min(width, float(column.max() + margin[2])), 2),
            "nt_y2": round(min(height, float(row.max() + margin[3])), 2),
            "nt_mm": round(self.strip.thickness, 4),
        }


class Anatomy(Painter):
    """The fetus at fixed sample points (fetus frame)."""

    GAP_MM = (0.3, 1.8)
    """Range of the fluid between the skin of the back and the uterus."""

    def __init__(self, fetus: Fetus, x: Array, y: Array) -> None:
        super().__init__(np.random.default_rng(fetus.variation), x, y, background_db=-60)
        self.fetus = fetus

    def paint(self) -> Tissue:
        self.uterus()
        self.trunk()
        self.head()
        self.face()
        self.nuchal_translucency()
        return self.tissue

    def uterus(self) -> None:
        """Walls behind the back (rising beside the head) and, in some, in front; fluid is what remains."""
        a, b, strip = self.fetus.a, self.fetus.b, self.fetus.strip
        self.gap = self.rng.uniform(*self.GAP_MM)
        rise = 0.3 * b * np.log1p(np.exp(-(self.x / a + 0.5) / 0.3))
        behind = strip.height(self.x)[0] + strip.lumen(self.x) / 2 + WALL_MM + self.gap - rise
        ahead = self.rng.uniform(-1.75, -1.15) * b + self.jitter(0.15) * self.x + 0.15 * self.coarse
        level = -2 + 2.5 * self.streaks + 2 * self.coarse
        for outside in (behind - self.y, self.y - ahead):
            self.fill(outside, level, edge=0.5)
            self.interface(1.5 * cover(self.coarse, 2), outside, 0.3)

    def chest(self) -> Array:
        """Height above the ventral skin from chin to abdomen (mm, negative inside the body)."""
        a, b = self.fetus.a, self.fetus.b
        lift = self.rng.uniform(0.3, 0.75) * b
        ramp = 1 / (1 + np.exp(-(self.x / a - 2.4) / 0.35))
        neck = 0.35 * b - lift * ramp
        return neck - self.y

    def trunk(self) -> None:
        """Neck and thorax between the ventral skin and the fascia line, with bright and dark organs."""
        fetus, a, b = self.fetus, self.fetus.a, self.fetus.b
        depth, _ = fetus.strip.depth(self.x, self.y)
        front = self.chest()
        nape = Ellipse(0.2 * a, 0.5 * b, 1.02 * a, 0.95 * b).distance(np.minimum(self.x, 0.2 * a), self.y)[0]
        inside = np.maximum(np.maximum(front, depth), nape)
        self.fill(inside, -7 + 5.5 * self.streaks + 3.5 * self.coarse)
        self.interface(2.0 * cover(1.1 * a - self.x, 2) * cover(self.streaks - 0.5, 2), front, 0.35)
        for behind in self.rng.uniform(2, 7, size=3):
            patchy = 2.5 * cover(0.8 * a - self.x, 4.0) * cover(0.2 - self.streaks, 1)
            self.interface(patchy * cover(front + 1), depth + float(behind), 0.35)
        for _ in range(4):
            x, y = self.rng.uniform(1.6, 3.4) * a, self.rng.uniform(0.35, 1.0) * b
            organ = Ellipse(x, y, self.rng.uniform(1, 3), self.rng.uniform(0.6, 1.4), self.jitter(0.3))
            level = float(self.rng.choice([-18.0, 0.0]))
            self.fill(np.maximum(organ.distance(self.x, self.y)[0], inside), level, 0.8)

    def head(self) -> None:
        """Skull, brain with dark thalami and midbrain, intracranial translucency and cisterna magna."""
        a, b = self.fetus.a, self.fetus.b
        self.skull = Ellipse(0, 0, a, b, self.jitter(0.08))
        outside, normal = self.skull.distance(self.x, self.y)
        self.fill(outside, -10 + 5 * self.coarse + 3 * self.streaks)
        plexus = Ellipse(-0.4 * a, self.rng.uniform(-0.1, 0.45) * b, 0.35 * a, 0.3 * b, self.jitter(0.4))
        self.fill(plexus.distance(self.x, self.y)[0], -1 + 5 * self.coarse, 2.5)
        for x, y, w, h in DARK:
            x, y = x + self.jitter(0.04), y + self.jitter(0.04)
            nucleus = Ellipse(x * a, y * b, w * a, h * b, self.jitter(0.2))
            self.fill(nucleus.distance(self.x, self.y)[0], -24 + 5 * self.coarse, 2.0)
        for x, y in ((0.3, 0.6), (0.25, 0.72), (0.6, 0.25)):
            self.bone((x * a, y * b), ((x + 0.28) * a, (y + self.jitter(0.03)) * b), 0.25, 1.5)
        shell = cover(np.abs(outside) - 0.3, 0.3) * cover(self.y - 0.75 * b, 0.4 * b)
        self.scatter += shell * (-5 + 4 * self.coarse - self.scatter)
        self.interface(7 * np.maximum(-normal, 0) ** 8 * cover(self.coarse - 0.7, 2), outside, 0.5)
        self.attenuation += shell * np.abs(normal) * 3.0

    def face(self) -> None:
        """Profile: face with nasal bone, maxilla and chin, tip of the nose."""
        a, b = self.fetus.a, self.fetus.b
        soft = Ellipse(1.08 * a, -0.16 * b, 0.5 * a, 0.42 * b, 0.5 + self.jitter(0.1))
        nose = Ellipse(1.22 * a, -0.56 * b, 0.14 * a, 0.12 * b)
        chin = Ellipse(1.45 * a, 0.08 * b, 0.18 * a, 0.16 * b)
        for part in (soft, nose, chin):
            distance, normal = part.distance(self.x, self.y)
            self.fill(distance, -6 + 4 * self.coarse)
            self.interface(2.0 * np.maximum(-normal, 0) ** 2 * cover(0.85 * a - self.x), distance, 0.3)
        lift = self.jitter(0.05) * b
        self.bone((0.75 * a, -0.06 * b + lift), (1.15 * a, -0.36 * b + lift), 0.7, 4.0)
        self.bone((1.2 * a, -0.36 * b + lift), (1.45 * a, -0.15 * b + lift), 0.5, 3.0)
        (x1, y1), (x2, y2) = NASAL_BONE
        self.bone((x1 * a, y1 * b), (x2 * a, y2 * b), 0.3, 4.0)

    def nuchal_translucency(self) -> None:
        """Fluid between fascia and skin: both smooth, bright where they face the probe."""
        strip = self.fetus.strip
        depth, cosine = strip.depth(self.x, self.y)
        half = strip.lumen(self.x) / 2
        fluid = cover(strip.left - self.x, 3.0) * cover(self.x - strip.right, 3.0)
        span = cover(strip.left - 1 - self.x, 4.0) * cover(self.x - strip.right - 3, 8.0)
        self.scatter += fluid * cover(np.abs(depth) - half) * (-45 - self.scatter)
        for wall, strength, offset in ((depth - half, 9.0, 0), (-depth - half, 6.0, 40)):
            uneven = np.exp(0.5 * texture(self.rng, self.x, 0 * self.y + offset, (5.0, 1.0)))
            bright = strength * self.rng.uniform(0.7, 1.4) * uneven * span * cosine**8
            self.specular += bright * cover(np.abs(wall - WALL_MM / 2) - WALL_MM / 2)
