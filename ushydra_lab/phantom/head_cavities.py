"""The two cavities of the scene `head` that are segmented: where they are and what they look like. Lengths are mm.

x runs from the front to the occiput from the middle of the skull, y across from the midline.
"""

from dataclasses import dataclass

import numpy as np

from ushydra_lab.phantom.shapes import Ellipse
from ushydra_lab.phantom.speckle import Array


@dataclass(frozen=True)
class Cavum:
    """Cavum septi pellucidi: a box on the midline around `x`, wider in front; half sizes, contents and walls' echo."""

    x: float
    length: float
    width: float
    taper: float
    level_db: float
    wall: float

    @classmethod
    def draw(cls, rng: np.random.Generator, a: float, b: float) -> "Cavum":
        return cls(
            x=rng.uniform(-0.44, -0.32) * a,
            length=rng.uniform(0.13, 0.19) * a,
            width=max(1.5, rng.uniform(0.06, 0.1) * b),
            taper=rng.uniform(0, 0.08),
            level_db=rng.uniform(-44, -26),
            wall=rng.uniform(1, 4),
        )

    def sides(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Signed distances beyond the ends and beyond the walls; y counts from the midline."""
        along = x - self.x
        return np.abs(along) - self.length, np.abs(y) - (self.width - self.taper * along)

    def distance(self, x: Array, y: Array) -> Array:
        distance: Array = np.maximum(*self.sides(x, y))
        return distance


@dataclass(frozen=True)
class Ventricle:
    """Atrium and posterior horn of a lateral ventricle: a bent ellipse, and the choroid plexus in its front part."""

    outline: Ellipse
    bend: float
    level_db: float
    wall: float
    plexus: Ellipse
    plexus_db: float

    @classmethod
    def draw(cls, rng: np.random.Generator, a: float, b: float, side: int) -> "Ventricle":
        x, y, length = rng.uniform(0.38, 0.46) * a, side * rng.uniform(0.32, 0.4) * b, rng.uniform(0.24, 0.31) * a
        width, tilt = rng.uniform(0.9, 1.1) * (2.6 + 0.035 * b), side * rng.uniform(0.05, 0.3)
        return cls(
            outline=Ellipse(x, y, length, width, tilt),
            bend=-side * rng.uniform(0.05, 0.2) / a,
            level_db=rng.uniform(-42, -28),
            wall=rng.uniform(0.6, 2.5),
            plexus=Ellipse(x - rng.uniform(0.2, 0.45) * length, y, 0.62 * length, 0.85 * width, tilt),
            plexus_db=rng.uniform(-8, 1),
        )

    def distance(self, x: Array, y: Array) -> Array:
        return self.bent(self.outline, x, y)[0]

    def bent(self, shape: Ellipse, x: Array, y: Array) -> tuple[Array, Array]:
        """Signed distance to `shape` once it is bent, and its normal's y component; y counts from the midline."""
        return shape.distance(x, y - self.bend * (x - self.outline.x) ** 2)
