"""Planes `thorax` (axial, four chambers of the heart) and `abdomen` (axial, stomach and umbilical vein).

u points to the front of the fetus, v to its left; the spine lies at the back.
"""

from itertools import pairwise
from math import cos, pi, sin

import numpy as np

from ushydra_lab.phantom.plane_womb import FLUID_DB, Womb
from ushydra_lab.phantom.shapes import Point, cover
from ushydra_lab.phantom.speckle import Array

BACKS = (0.0, pi, -0.5 * pi)  # the spine to the left, to the right or below: above, its shadow hides the organs


class Trunk(Womb):
    TILTS = BACKS
    TILT_SD = 0.35

    def shell(self, outline: Array, rim: float) -> None:
        """Skin and body wall, `rim` mm thick."""
        distance, facing = self.oval(0, 0, self.a, self.b)
        self.fill(outline, -6 + 2 * self.coarse, 0.4)
        self.wall((distance, facing), 2.0, 0.6)
        self.fill(outline + rim, -11 + 2 * self.coarse, 0.8)

    def rib(self, start: float, end: float, scale: float, width: float) -> None:
        """Part of an oval `scale` times the outline, between two directions (rad, 0 is the front)."""
        distance = self.oval(0, 0, scale * self.a, scale * self.b)[0]
        middle, half = (start + end) / 2, (end - start) / 2
        turn = np.abs((self.angle() - middle + pi) % (2 * pi) - pi)
        ends = (turn - half) * scale * self.a
        self.ossified(np.maximum(np.abs(distance) - width / 2, ends), 13, 5.0)


class Thorax(Trunk):
    A_MM = (19, 28)
    ROUNDNESS = (0.9, 1.12)

    def body(self, outline: Array) -> None:
        self.shell(outline, 0.1 * self.a)
        self.fill(outline + 0.15 * self.a, -3 + 2.0 * self.coarse + 1.0 * self.streaks, 0.8)
        self.spine(-0.68 * self.a)
        self.heart()
        aorta = self.oval(-0.4 * self.a, 0.14 * self.b, 0.075 * self.a, 0.075 * self.a)
        self.vessel(aorta, 2.0)
        for side in (-1, 1):
            first = self.rng.uniform(0.9, 1.3)
            for start, length in ((first, 0.6), (first + 0.85, self.rng.uniform(0.35, 0.6))):
                lo, hi = sorted((side * start, side * (start + length)))
                self.rib(lo, hi, 0.87, self.rng.uniform(1.2, 1.8))

    def heart(self) -> None:
        """Apex to the front left. p runs from the crux to the apex, q across; two ventricles, two atria."""
        a, b = self.a, self.b
        axis = self.rng.uniform(0.55, 0.95)
        size = self.rng.uniform(0.46, 0.54) * a
        centre = (0.17 * a, 0.1 * b)

        def at(p: float, q: float) -> Point:
            c, s = cos(axis) * size, sin(axis) * size
            return centre[0] + c * p - s * q, centre[1] + s * p + c * q

        muscle = self.oval(*centre, 1.12 * size, 0.88 * size, axis)
        self.fill(muscle[0], -9 + 2 * self.coarse, 0.6)
        self.wall(muscle, 2.5, 0.6)
        beat = self.rng.uniform(0.75, 1.05)
        for p, q, long, short, turn in (
            (0.38, 0.32, 0.46 * beat, 0.2 * beat, -0.25),
            (0.36, -0.32, 0.44 * beat, 0.22 * beat, 0.25),
            (-0.52, 0.33, 0.3, 0.27, 0.0),
            (-0.5, -0.34, 0.31, 0.28, 0.0),
        ):
            self.fill(self.oval(*at(p, q), long * size, short * size, axis + turn)[0], FLUID_DB, 0.7)
        for start, end, strength in (
            (at(-0.08, 0.0), at(0.95, 0.0), 1.5),
            (at(-0.08, 0.0), at(-0.35, 0.0), 2.0),
            (at(-0.9, 0.0), at(-0.65, 0.0), 2.0),
            (at(-0.12, 0.0), at(-0.1, 0.62), 2.5),
            (at(-0.05, 0.0), at(-0.1, -0.62), 2.5),
        ):
            self.fill(self.line(start, end) - 0.5, 1, 0.5)
            self.interface(strength, self.line(start, end), 0.5)


class Abdomen(Trunk):
    A_MM = (21, 31)
    ROUNDNESS = (0.92, 1.08)

    def body(self, outline: Array) -> None:
        a, b = self.a, self.b
        self.shell(outline, 0.06 * a)
        self.fill(outline + 0.1 * a, -9 + 1.5 * self.coarse + 1.5 * self.mottle, 0.8)
        self.bowel()
        self.spine(-0.7 * a)
        self.vessel(self.oval(-0.42 * a, 0.12 * b, 0.07 * a, 0.07 * a))
        self.vessel(self.oval(-0.36 * a, -0.14 * b, 0.065 * a, 0.055 * a))
        self.stomach()
        self.umbilical_vein()
        for side in (-1, 1):
            start = self.rng.uniform(1.5, 2.0)
            lo, hi = sorted((side * start, side * (start + self.rng.uniform(0.3, 0.5))))
            self.rib(lo, hi, 0.9, self.rng.uniform(1.0, 1.6))

    def stomach(self) -> None:
        a, b = self.a, self.b
        u, v = self.rng.uniform(-0.12, 0.12) * a, self.rng.uniform(0.42, 0.55) * b
        long, short = self.rng.uniform(0.2, 0.33) * a, self.rng.uniform(0.13, 0.19) * a
        self.vessel(self.oval(u, v, long, short, self.jitter(0.4)), 2.5)

    def umbilical_vein(self) -> None:
        """Hockey stick: from the front towards the spine, then bent to the right into the portal sinus."""
        a, b = self.a, self.b
        front, bend = self.rng.uniform(0.42, 0.6) * a, self.rng.uniform(0.0, 0.14) * a
        path = ((front, 0.04 * b), (bend + 0.12 * a, 0.0), (bend, -0.12 * b), (bend - 0.06 * a, -0.36 * b))
        tube = np.min([self.line(p, q) for p, q in pairwise(path)], axis=0)
        radius = self.rng.uniform(0.055, 0.085) * a
        self.fill(tube - radius - 0.9, 1, 0.6)
        self.interface(1.5, tube - radius, 0.5)
        self.fill(tube - radius, FLUID_DB, 0.5)

    def bowel(self) -> None:
        """Brighter patches on the left, behind the stomach."""
        patch = self.oval(0.35 * self.a, 0.5 * self.b, 0.3 * self.a, 0.25 * self.b, 0.5)[0]
        self.fill(patch, -5 + 3 * cover(self.coarse - 0.5, 1.0), 3.0)
