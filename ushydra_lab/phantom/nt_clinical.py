"""A fetus as clinics see it, for the scene `nt` at difficulty real and hard: the view is rarely the textbook's.

The two lines of the nuchal translucency (NT) are broken, blurred and merge towards its ends, the lumen is not always
black, the amnion runs beside the back as a third line, and the plane may lie off the middle. The truth stays that of
`Fetus`: the thickness is never changed at the widest place.
"""

from dataclasses import dataclass, replace

import numpy as np

from ushydra_lab.phantom.nt import WALL_MM, Anatomy, Fetus
from ushydra_lab.phantom.shapes import cover
from ushydra_lab.phantom.speckle import Array, Tissue

THICKNESS = 0.88
"""Of the textbook's fetuses: most real ones are thin."""
REACH_MM, STEP_MM = 80.0, 0.1
"""How far from the head `along` reaches, and in what steps: finer than beams lie apart."""


@dataclass(frozen=True)
class ClinicalFetus(Fetus):
    """severity: 1 as measured on real images, more is harder; off_plane: 0 the middle, 1 where nothing is clear."""

    severity: float = 1.0
    off_plane: float = 0.0

    @classmethod
    def seen(cls, rng: np.random.Generator, severity: float) -> "ClinicalFetus":
        fetus = cls.draw(rng)
        assert isinstance(fetus, ClinicalFetus)
        strip = replace(fetus.strip, thickness=max(0.9, THICKNESS * fetus.strip.thickness))
        off_plane = float(np.clip(rng.beta(1.2, 4) * severity, 0, 1))
        tilt = float(np.clip(rng.normal(0, 0.07), -0.18, 0.18))
        return replace(fetus, strip=strip, tilt=tilt, severity=severity, off_plane=off_plane)

    def tissue(self, x: Array, y: Array) -> Tissue:
        return ClinicalAnatomy(self, *self.to_fetus(x, y)).paint()


class ClinicalAnatomy(Anatomy):
    GAP_MM = (0.2, 4.0)
    fetus: ClinicalFetus

    def paint(self) -> Tissue:
        super().paint()
        self.amnion()
        return self.tissue

    def uterus(self) -> None:
        """Darker than a textbook's in most images, and uneven."""
        super().uterus()
        self.scatter += self.rng.uniform(-9, 1) + 2.5 * self.along(9.0)

    def head(self) -> None:
        """With the skull's echo where it faces the probe, in pieces."""
        super().head()
        outside, normal = self.skull.distance(self.x, self.y)
        echo = (
            self.rng.uniform(1.0, 5.0)
            * np.maximum(-normal, 0) ** 2
            * cover(self.coarse - self.rng.uniform(0, 1.2), 1.5)
        )
        self.interface(echo, outside + 0.3 + 0.15 * self.streaks, 0.4)

    def face(self) -> None:
        """Off the middle the bones of the face fade."""
        before = self.specular.copy()
        super().face()
        self.specular = before + (1 - 0.8 * self.fetus.off_plane) * (self.specular - before)

    def nuchal_translucency(self) -> None:
        strip, severity, off = self.fetus.strip, self.fetus.severity, self.fetus.off_plane
        depth, cosine = strip.depth(self.x, self.y)
        half = strip.lumen(self.x) / 2 * self.merging()
        fluid = cover(strip.left - self.x, 3.0) * cover(self.x - strip.right, 3.0)
        span = cover(strip.left - 1 - self.x, 4.0) * cover(self.x - strip.right - 3, 8.0)
        blur = self.rng.uniform(0.08, 0.15 + 0.2 * severity) + 0.4 * off
        level = min(self.rng.uniform(-30, -7 + 3 * severity) + 9 * off, -4.0)
        self.scatter += fluid * cover(np.abs(depth) - half, blur) * (level + 3 * self.streaks - self.scatter)
        for wall, strength in ((depth - half, 18.0), (-depth - half, 11.0)):
            along = self.along(6.0)
            broken = cover(along - self.rng.uniform(0.4, 2.4) / severity, 1.2)
            faint = np.exp(0.6 * severity * along - self.rng.uniform(0, 0.9) * severity - off)
            self.specular += (
                strength * faint * broken * span * cosine**8 * cover(np.abs(wall - WALL_MM / 2) - WALL_MM / 2, blur)
            )

    def along(self, length: float) -> Array:
        """A random field that varies along x alone, variance 1.5, grain `length` mm."""
        knots = 1.5 * self.rng.standard_normal(2 + round(2 * REACH_MM / length)).astype(np.float32)
        table = np.interp(np.arange(0, 2 * REACH_MM, STEP_MM), np.arange(len(knots)) * length, knots)
        place = ((self.x + REACH_MM) / STEP_MM).astype(np.intp)
        return table.astype(np.float32)[np.clip(place, 0, len(table) - 1)]

    def merging(self) -> Array:
        """Factor of the lumen's thickness: less than 1 at up to two places far from the widest."""
        strip, factor = self.fetus.strip, np.ones_like(self.x)
        for end in (strip.left, strip.right):
            middle = strip.widest + self.rng.uniform(0.65, 1.1) * (end - strip.widest)
            narrow = min(1.0, self.rng.uniform(0, 0.6) * self.fetus.severity)
            factor -= narrow * np.exp(-np.square((self.x - middle) / (0.25 * (end - strip.widest))))
        return np.maximum(factor, 0.05)

    def amnion(self) -> None:
        """A thin line in the fluid behind the back, in half of the images; it may touch the skin."""
        if self.rng.random() > 0.5:
            return
        strip = self.fetus.strip
        depth, cosine = strip.depth(self.x, self.y)
        away = self.rng.uniform(0.15, 0.9) * self.gap + self.jitter(0.04) * (self.x - strip.widest)
        line = depth - strip.lumen(self.x) / 2 - WALL_MM - away - 0.2 * np.sin(self.x / self.rng.uniform(2, 5))
        self.interface(self.rng.uniform(1, 5) * cosine**4 * cover(self.streaks - 0.6, 1.5), line, 0.25)
