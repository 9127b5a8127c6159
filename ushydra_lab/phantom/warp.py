"""Irregular anatomy: a smooth displacement of the plane, so that no organ is an exact ellipse."""

from math import cos, pi, sin

import numpy as np

from ushydra_lab.phantom.speckle import Array

WAVES = 3


def warped(rng: np.random.Generator, x: Array, y: Array, lengths: tuple[float, float]) -> tuple[Array, Array]:
    """The points (mm) moved by a few waves, `lengths` (mm, a range) long; each moves by about 1 % of its length."""
    for _ in range(WAVES):
        direction, phase, length = rng.uniform(0, 2 * pi), rng.uniform(0, 2 * pi), rng.uniform(*lengths)
        wave = np.sin((cos(direction) * x + sin(direction) * y) * (2 * pi / length) + phase)
        shift = rng.normal(0, 0.011 * length, size=2)
        x, y = x + float(shift[0]) * wave, y + float(shift[1]) * wave
    return x, y
