"""Plane `brain`: axial, trans-thalamic to trans-ventricular. u points to the forehead."""

from math import cos, pi

import numpy as np

from ushydra_lab.phantom.plane_womb import FLUID_DB, Womb
from ushydra_lab.phantom.shapes import cover
from ushydra_lab.phantom.speckle import Array


class Brain(Womb):
    A_MM = (27, 37)
    ROUNDNESS = (0.74, 0.86)
    TILTS = (0.0, pi)

    def body(self, outline: Array) -> None:
        self.fill(outline - 2.5, -7 + 2 * self.coarse, 0.4)
        self.fill(outline, -17 + 2.5 * self.coarse + 2 * self.streaks, 0.4)
        self.cortex(outline)
        self.ventricles()
        self.thalami()
        self.midline()
        self.skull()

    def skull(self) -> None:
        """Two parietal bones: bright towards the probe and away from it, thin at the ends, open at sutures."""
        thickness, density = self.rng.uniform(1.0, 1.7), self.rng.uniform(6, 12)
        distance, facing = self.oval(0, 0, self.a, self.b)
        ring = np.abs(distance) - thickness / 2
        across = np.abs(facing)
        sutures = np.min([np.abs(self.angle() - at) for at in self.rng.uniform(-pi, pi, size=3)], axis=0)
        bone = cover(0.05 - sutures, 0.04)
        self.fill(ring, -8 + bone * (density + 9 * across) + 3 * self.coarse, 0.5)
        self.interface(3 * bone * across**2, distance, thickness)
        self.attenuation += cover(ring, 0.5) * (0.7 + 1.6 * (1 - across) ** 2)

    def midline(self) -> None:
        """Falx, interrupted in front by the cavum septi pellucidi, which is a box between two lines."""
        a, facing = self.a, 0.3 + 0.7 * abs(cos(self.pose.tilt)) ** 3
        front, back, half = (self.rng.uniform(*r) for r in ((0.5, 0.62), (0.22, 0.32), (0.035, 0.06)))
        broken = cover(self.streaks - 0.3, 1.5)
        for start, end in (((front + 0.04) * a, 0.93 * a), (-0.9 * a, (back - 0.05) * a)):
            echo = self.line((start, 0), (end, 0))
            self.interface(3 * facing * broken, echo, 0.6)
            self.fill(echo - 0.3, -3, 0.5)
        box = np.maximum(np.abs(self.u - (front + back) / 2 * a) - (front - back) / 2 * a, np.abs(self.v) - half * a)
        self.fill(box, FLUID_DB, 0.5)
        for side in (-half * a, half * a):
            self.interface(4 * facing, self.line((back * a, side), (front * a, side)), 0.6)

    def thalami(self) -> None:
        """A dark pair of ovals behind the cavum, in a brighter surround."""
        a, b = self.a, self.b
        at = self.rng.uniform(-0.12, 0.02) * a
        self.fill(self.oval(at, 0, 0.34 * a, 0.42 * b)[0], -9 + 2 * self.coarse, 3.0)
        for side in (-1, 1):
            shape = self.oval(at, side * 0.19 * b, 0.23 * a, 0.16 * b, side * 0.35)
            self.fill(shape[0], -25 + 2 * self.coarse, 1.0)

    def ventricles(self) -> None:
        """Posterior horns with bright choroid plexus, which lies on the lower side; the far one is seen better."""
        a, b = self.a, self.b
        for side in (-1, 1):
            width = self.rng.uniform(0.11, 0.17) * b
            tilt = side * self.rng.uniform(0.1, 0.3)
            u, v = self.rng.uniform(-0.5, -0.38) * a, side * self.rng.uniform(0.38, 0.46) * b
            horn = self.oval(u, v, 0.32 * a, width, tilt)
            self.fill(horn[0], FLUID_DB, 0.8)
            self.wall(horn, 1.2, 0.4)
            plexus = self.oval(u + 0.06 * a, v - 0.15 * side * width, 0.2 * a, 0.6 * width, tilt)
            self.fill(plexus[0] + 0.4 * self.coarse, 0 + 2 * self.coarse, 0.8)

    def cortex(self, outline: Array) -> None:
        """Dark subarachnoid space, bright cortex lines and the insula on both sides."""
        a, b = self.a, self.b
        depth = self.rng.uniform(1.5, 3.5)
        self.fill(np.abs(outline + depth) - depth / 2 + 0.6 * self.coarse, -32, 1.0)
        self.interface(0.8 * cover(self.coarse), outline + 2 * depth + 0.8 * self.mottle, 0.4)
        for side in (-1, 1):
            at, half = self.rng.uniform(0.0, 0.2) * a, self.rng.uniform(0.15, 0.25) * a
            sulcus = self.v - side * (0.68 * b - 0.004 * (self.u - at) ** 2)
            seen = cover(np.abs(self.u - at) - half, 2.0) * cover(self.streaks - 0.5, 1.5)
            self.scatter += seen * cover(np.abs(sulcus) - 0.5, 0.5) * 10
            self.interface(1.5 * seen, sulcus, 0.5)
