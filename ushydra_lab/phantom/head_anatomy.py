"""Anatomy of the scene `head`: what the trans-thalamic plane and its surroundings are made of. Lengths are mm."""

from math import cos, pi, sin
from typing import TYPE_CHECKING

import numpy as np

from ushydra_lab.phantom.shapes import Ellipse, Painter, cover, segment, texture
from ushydra_lab.phantom.speckle import Array, Tissue

if TYPE_CHECKING:
    from ushydra_lab.phantom.head import Head

WALL_MM = 0.7  # of the CSP and the ventricles, outside the lumen that is segmented


class Anatomy(Painter):
    """A head at fixed sample points (image frame); u, v: the points in the head frame, w: v from the midline.

    What the CSP and the ventricles are like is all drawn with the head, so the other organs do not depend on them.
    """

    def __init__(self, head: "Head", x: Array, y: Array) -> None:
        rng = np.random.default_rng(head.variation)
        super().__init__(rng, x, y, background_db=rng.uniform(-50, -26))
        self.head, self.a, self.b = head, head.a, head.b
        self.u, self.v = head.to_head(self.x, self.y)
        self.w = self.v - head.midline(self.u)
        self.outside, normal = head.skull.distance(self.u, self.v)
        beam_u, beam_v = self.u[-1] - self.u[0], self.v[-1] - self.v[0]
        reach = np.hypot(beam_u, beam_v)
        across = np.sign(self.u) * np.sqrt(np.maximum(1 - normal**2, 0))
        self.facing = np.abs(across * beam_u + normal * beam_v) / reach
        self.lateral = np.square(np.square(beam_v / reach))
        self.broad = texture(self.rng, self.x, self.y, (9, 6))
        self.uneven = np.exp(0.6 * self.broad)
        self.fibres = texture(self.rng, self.u, self.w, (7, 1.6))
        self.shell = self.rng.uniform(1.8, 2.6) + 0.02 * self.b

    def paint(self) -> Tissue:
        self.mother()
        self.brain()
        self.midline()
        self.thalami()
        self.sylvian_fissures()
        self.sulci()
        self.ventricles()
        self.cavum()
        self.reverberation()
        self.skull()
        return self.tissue

    def mother(self) -> None:
        """Uterine wall or placenta around pockets of amniotic fluid; layers of the abdominal wall; limbs."""
        x, y = self.x - self.head.shift[0], self.y - self.head.shift[1]
        angle = np.arctan2(y, x)
        fluid = self.outside - np.maximum(self.gap(angle) + 0.8 * self.broad, self.rng.uniform(0.5, 1.5))
        patches = 2.5 * self.streaks + 1.5 * self.coarse + 2 * self.broad + 3 * texture(self.rng, x, y, (35, 20))
        level = self.rng.uniform(-15, -7) + self.rng.uniform(-3, 5) * np.tanh(y / self.b) + patches
        self.attenuation += self.rng.uniform(0, 0.12) - cover(fluid, 2) * self.rng.uniform(0.1, 0.25)
        self.fill(-fluid, level, edge=1.5)
        self.interface(2.0 * np.square(y / (np.abs(x) + np.abs(y))) * cover(self.coarse, 2), fluid, 0.7)
        depth = np.hypot(self.x - self.x[0], self.y - self.y[0])
        layers = texture(self.rng, self.x, depth, (25, 1.3))
        self.fill(np.maximum(depth - self.rng.uniform(3, 18), 3 - fluid), self.rng.uniform(-10, -2) + 5 * layers, 3)
        contact = texture(self.rng, self.x[-1], self.y[-1], (14, 14))
        self.attenuation += cover(depth - 6) * 0.3 * np.abs(contact)
        for _ in range(int(self.rng.integers(3))):
            self.limb(fluid)
        self.fill(self.outside - self.rng.uniform(0.8, 2.5), -12 + 3 * self.coarse, 0.8)

    def gap(self, angle: Array) -> Array:
        """Width of the fluid around the head."""
        gap = self.rng.uniform(-6, 8) + self.rng.uniform(0, 16) * np.cos(2 * angle - self.jitter(0.5))
        for lobes in (1, 3):
            gap += self.rng.uniform(0, 8) * np.cos(lobes * angle - self.rng.uniform(0, 2 * pi))
        return gap

    def limb(self, fluid: Array) -> None:
        """A hand or foot in the fluid beside the head."""
        radius, angle = self.rng.uniform(4, 9), self.rng.uniform(0, 2 * pi)
        out = 1 + (radius + self.rng.uniform(1, 6)) / self.b
        x, y = out * self.a * cos(angle), out * self.b * sin(angle)
        limb = Ellipse(x, y, radius, self.rng.uniform(0.5, 0.8) * radius, self.rng.uniform(0, pi))
        distance, normal = limb.distance(self.u, self.v)
        distance = np.maximum(np.maximum(distance + 0.6 * self.coarse, 1.5 - self.outside), fluid)
        self.fill(distance, self.rng.uniform(-12, -4) + 4 * self.coarse, 1)
        self.interface(2 * np.square(normal) * self.uneven, distance, 0.7)
        self.attenuation += cover(distance + 0.4 * radius, 1) * 0.5

    def brain(self) -> None:
        """Hypoechoic parenchyma, brighter in the middle, and a dark subarachnoid space with the brain's surface."""
        centre = np.exp(-((self.u / (0.6 * self.a)) ** 2) - (self.w / (0.5 * self.b)) ** 2)
        level = self.rng.uniform(-27, -15) + self.rng.uniform(2, 9) * centre + 2 * self.coarse + 3 * self.broad
        level += self.rng.uniform(3, 11) * np.sqrt(centre) * cover(0.9 - self.fibres, 1)
        self.fill(self.outside, -32.0)
        surface = self.outside + self.shell + self.rng.uniform(-0.5, 1.5) + 0.3 * self.broad
        self.fill(surface, level, 0.8)
        self.interface(self.rng.uniform(0, 1) * self.facing, surface, 0.6)

    def midline(self) -> None:
        """Falx in front and behind, broken by the CSP; between the thalami the two walls of the third ventricle."""
        echo = self.rng.uniform(0.5, 2.3) * self.uneven * (0.2 + self.lateral)
        falx = cover(self.u + 0.18 * self.a, 2) * cover(-self.u - 0.94 * self.a, 2)
        falx += cover(0.4 * self.a - self.u, 2) * cover(self.u - 0.9 * self.a, 2)
        slit = cover(np.abs(self.u - 0.08 * self.a) - 0.2 * self.a, 3)
        if self.head.csp:
            falx *= cover(0.4 - self.head.csp.distance(self.u, self.w), 0.5)
        off = self.w + 0.25 * self.broad
        self.scatter += falx * cover(np.abs(off) - 0.5, 0.6) * np.maximum(-10 + 3 * self.coarse - self.scatter, 0)
        self.interface(echo * falx, off, 0.8)
        self.interface(0.4 * echo * slit, np.abs(off) - 0.9, 0.6)

    def thalami(self) -> None:
        """Two dark ovals beside the third ventricle, and the bright ambient cisterns behind them."""
        for side in (-1, 1):
            x, y, tilt = (0.07 + self.jitter(0.02)) * self.a, side * (0.2 + self.jitter(0.02)) * self.b, side * 0.3
            size = self.rng.uniform(0.21, 0.26) * self.a, self.rng.uniform(0.14, 0.18) * self.b
            oval = Ellipse(x, y, *size, tilt).distance(self.u, self.w)[0] + 0.7 * self.broad
            self.scatter += cover(np.abs(oval - 0.8) - 0.8, 1.5) * (self.rng.uniform(0, 4) + 2 * self.fibres)
            self.scatter -= cover(oval, 2.5) * self.rng.uniform(3, 8)
            reach = side * self.rng.uniform(0.2, 0.3) * self.b
            start, end = (0.3 * self.a, side * 0.04 * self.b), (0.4 * self.a, reach)
            self.fill(segment(self.u, self.w, start, end) - 0.8 + 0.5 * self.coarse, -7 + 3 * self.coarse, 1)

    def sylvian_fissures(self) -> None:
        for side in (-1, 1):
            along = self.u / self.a + 0.1
            middle, curvature = side * self.rng.uniform(0.6, 0.7), side * self.rng.uniform(0.3, 0.8)
            line = np.abs(self.w - (middle - curvature * np.square(along)) * self.b + 0.4 * self.broad)
            span = cover(np.abs(along) - self.rng.uniform(0.12, 0.25), 5 / self.a)
            self.scatter += span * cover(line - 0.6, 1) * (self.rng.uniform(-17, -8) + 4 * self.coarse - self.scatter)
            self.interface(self.rng.uniform(-1, 2.5) * span * self.lateral * cover(self.coarse - 0.5, 2), line, 0.7)

    def sulci(self) -> None:
        """Short bright lines from the surface inwards: more of them in older fetuses."""
        for _ in range(int(self.rng.integers(0, 2 + int(self.head.weeks - 18) // 3))):
            angle, depth = self.rng.uniform(0, 2 * pi), self.rng.uniform(0.55, 0.8)
            turn = angle + self.rng.normal(0, 0.15)
            start, end = ((r * self.a * cos(t), r * self.b * sin(t)) for r, t in ((0.92, angle), (depth, turn)))
            line = segment(self.u, self.w, start, end) + 0.3 * self.coarse
            self.fill(line - 0.5, self.rng.uniform(-14, -7) + 2 * self.coarse, 0.8)

    def ventricles(self) -> None:
        for lv in self.head.lvs or ():
            distance, normal = lv.bent(lv.outline, self.u, self.w)
            wall = np.abs(distance - WALL_MM / 2)
            self.fill(wall - WALL_MM / 2, -13 + 3 * self.coarse, 0.8)
            self.fill(distance, lv.level_db, 0.6)
            plexus = np.maximum(lv.bent(lv.plexus, self.u, self.w)[0] + 0.5 * self.coarse, distance + 0.5)
            self.fill(plexus, lv.plexus_db + 3 * self.coarse, 1)
            self.interface(lv.wall * np.square(np.square(normal)) * self.lateral * self.uneven, wall, 0.7)

    def cavum(self) -> None:
        if csp := self.head.csp:
            ends, walls = csp.sides(self.u, self.w)
            distance = np.maximum(ends, walls)
            wall = np.abs(distance - WALL_MM / 2)
            self.fill(wall - WALL_MM / 2, -11 + 2 * self.coarse, 0.6)
            self.fill(distance, csp.level_db, 0.5)
            self.interface(csp.wall * self.uneven * np.where(walls > ends, 0.15 + self.lateral, 0.1), wall, 0.7)

    def reverberation(self) -> None:
        """Haze below the near side of the skull."""
        below = self.y - self.head.shift[1] + self.head.extent[1]
        haze = self.rng.uniform(-28, -12) - self.rng.uniform(0.15, 0.7) * below + 2 * self.streaks
        inside = cover(self.outside + self.shell, 1)
        self.scatter += inside * np.maximum(haze - self.scatter, 0)

    def skull(self) -> None:
        """Bright and thick where it faces the beam, thin and dim where not; gaps at the sutures; edge shadows."""
        depth = -self.outside / (self.shell * (0.6 + 0.5 * self.facing + 0.07 * self.broad))
        angle = np.arctan2(self.v / self.b, self.u / self.a)
        gaps = np.zeros_like(angle)
        for suture in self.rng.uniform(-pi, pi, int(self.rng.integers(1, 5))):
            away = np.abs((angle - suture + pi) % (2 * pi) - pi) * self.b
            gaps = np.maximum(gaps, cover(away - self.rng.uniform(0.5, 4), 5))
        patches = 2 * self.broad - 18 * gaps
        bright = self.rng.uniform(-20, -8) + self.rng.uniform(15, 24) * np.square(self.facing) + patches
        bone = cover(np.abs(depth - 0.5) - 0.5, 0.3)
        self.scatter += bone * (bright - self.scatter)
        sheen = np.square(np.square(self.facing)) * self.uneven * (1 - gaps)
        self.specular += self.rng.uniform(1.5, 9) * sheen * np.maximum(1 - np.square(2 * depth - 1), 0)
        self.attenuation += bone * self.rng.uniform(0.5, 1.4)
