"""A fetal head of 10-18 weeks: round, thin-skulled, small in a wide sac, the choroid plexus filling most of it.

HC18 has such heads (HC from 44 mm), the thesis' trans-thalamic planes have none.
"""

from dataclasses import replace
from math import pi

import numpy as np

from ushydra_lab.phantom.head import Head
from ushydra_lab.phantom.head_anatomy import Anatomy
from ushydra_lab.phantom.shapes import Ellipse
from ushydra_lab.phantom.speckle import Array, Tissue

ENLARGED = 2.0
EARLY_SHARE = 0.35


class EarlyHead(Head):
    """Without CSP and without ventricles to segment; painted twice its size, at which `Anatomy`'s lengths hold."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "EarlyHead":
        weeks = rng.uniform(10, 18)
        b = (18 + 3.7 * (weeks - 12)) * float(np.clip(rng.normal(1, 0.06), 0.85, 1.15)) / 2
        a = b / float(np.clip(rng.normal(0.82, 0.06), 0.68, 0.95))
        head = cls(a, b, weeks, 0.0, rng.uniform(-pi, pi), (0.0, 0.0), 1.0, None, None, int(rng.integers(2**63)))
        across, down = head.extent
        height = max(2 * down * rng.uniform(1.15, 3.2), 1.9 * across)
        shift = rng.uniform(-0.75, 0.75) * (0.65 * height - across), rng.uniform(-0.9, 0.9) * (height / 2 - down)
        return replace(head, shift=shift, height=height)

    def tissue(self, x: Array, y: Array) -> Tissue:
        sizes = {name: ENLARGED * getattr(self, name) for name in ("a", "b", "height")}
        large = replace(self, **sizes, shift=(ENLARGED * self.shift[0], ENLARGED * self.shift[1]))
        tissue = EarlyAnatomy(large, ENLARGED * x, ENLARGED * y).paint()
        return replace(tissue, attenuation=ENLARGED * tissue.attenuation)


class EarlyAnatomy(Anatomy):
    def paint(self) -> Tissue:
        self.mother()
        self.brain()
        self.midline()
        self.plexus()
        self.reverberation()
        self.faint_skull()
        return self.tissue

    def gap(self, angle: Array) -> Array:
        """The sac reaches far beyond the head to one side, where the fetus's body may lie."""
        wide = self.rng.uniform(-4, 25) + self.rng.uniform(0, 45) * np.cos(angle - self.rng.uniform(0, 2 * pi))
        return wide + self.rng.uniform(0, 8) * np.cos(2 * angle - self.rng.uniform(0, 2 * pi))

    def plexus(self) -> None:
        """Two bright wings in dark ventricles; in some images the whole brain is grey."""
        level = self.rng.uniform(-14, -2) + 3 * self.coarse + 2 * self.broad
        dark = self.rng.uniform(-40, -18)
        for side in (-1, 1):
            middle = self.rng.uniform(-0.15, 0.3) * self.a, side * self.rng.uniform(0.36, 0.5) * self.b
            half = self.rng.uniform(0.35, 0.6) * self.a, self.rng.uniform(0.2, 0.32) * self.b
            wing = Ellipse(*middle, *half, side * self.rng.uniform(-0.3, 0.4)).distance(self.u, self.w)[0]
            inside = self.outside + self.shell + 1
            self.fill(np.maximum(wing - self.rng.uniform(1, 5), inside), dark, 1.5)
            self.fill(np.maximum(wing + 1.2 * self.broad + 0.8 * self.coarse, inside), level, 1.5)

    def faint_skull(self) -> None:
        """As little as a fifth of an older fetus's echo and shadow."""
        missing = self.rng.uniform(0, 0.8)
        self.shell *= self.rng.uniform(0.5, 1)
        before = {name: value.copy() for name, value in vars(self.tissue).items()}
        self.skull()
        for name, value in before.items():
            painted = getattr(self, name)
            painted += missing * (value - painted)


def draw_head_of_any_age(rng: np.random.Generator) -> Head:
    return (EarlyHead if rng.random() < EARLY_SHARE else Head).draw(rng)
