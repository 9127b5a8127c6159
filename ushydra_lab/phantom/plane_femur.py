"""Plane `femur`: the thigh lengthwise. u points to the knee."""

from math import pi

import numpy as np

from ushydra_lab.phantom.plane_womb import Womb
from ushydra_lab.phantom.shapes import cover, texture
from ushydra_lab.phantom.speckle import Array


class Femur(Womb):
    A_MM = (24, 34)
    ROUNDNESS = (0.42, 0.55)
    TILTS = (0.0, pi)
    TILT_SD = 0.3

    def body(self, outline: Array) -> None:
        length = self.rng.uniform(0.6, 0.72) * self.a
        self.thigh(outline)
        for end in (-length, length):
            self.fill(self.oval(end * 1.1, 0, 0.16 * self.a, 0.34 * self.b)[0], -22 + 2 * self.coarse, 1.2)
        self.shaft(length)

    def thigh(self, outline: Array) -> None:
        """Skin, fat, and muscle in fibres along the bone."""
        self.fill(outline, -5 + 2 * self.coarse, 0.5)
        self.wall(self.oval(0, 0, self.a, self.b), 2.5, 0.6)
        fibres = texture(self.rng, self.u, self.v, (12.0, 1.0))
        self.fill(outline + 2.5, -13 + 3.5 * fibres + 1.5 * self.coarse, 0.8)

    def shaft(self, length: float) -> None:
        """Slightly bowed, flared at both ends, dark behind."""
        bow = self.rng.uniform(0.0015, 0.005)
        along = self.u / length
        radius = self.rng.uniform(1.1, 1.6) * (1 + 0.45 * along**4)
        centre = self.v + bow * self.u**2 - 0.3 * bow * length**2
        distance = np.maximum(np.abs(centre) - radius, np.abs(self.u) - length)
        self.ossified(distance, self.rng.uniform(8, 14), self.rng.uniform(4, 9))
        self.interface(2.5 * cover(np.abs(self.u) - length, 1.0), centre, 1.5)
