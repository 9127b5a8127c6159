"""Scene `head`: trans-thalamic axial plane of a fetal head of 18-34 weeks.

Head frame: mm, origin in the middle of the skull, x from the front to the occiput, y across. `Head.to_head` maps
image coordinates into it.
"""

from dataclasses import dataclass, replace
from math import cos, hypot, pi, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.geometry.ellipse import perimeter
from ushydra_lab.phantom.head_anatomy import Anatomy
from ushydra_lab.phantom.head_cavities import Cavum, Ventricle
from ushydra_lab.phantom.hospitals import MACHINES, Machine, Subject, View
from ushydra_lab.phantom.shapes import Ellipse
from ushydra_lab.phantom.speckle import Array, Pulse, SectorScan, Tissue

STRUCTURES = ("parenchyma", "csp", "lv")
PARENCHYMA, CSP, LV = 1, 2, 3
CSP_SHARE, LV_SHARE = 584 / 1565, 505 / 1565
"""Parts of the thesis' 1,565 trans-thalamic images that show a CSP and lateral ventricles (its section 3.2)."""
COARSER = 3
"""Spacing of samples and beams in units of the NT machines': a head is three times as deep, and its pulse as long."""
FULL_PULSE_MM = 45
"""Depth from which on the pulse is that long."""


@dataclass(frozen=True)
class Head:
    """A head and its place in the image, mm; the labels reach to the outer border of the skull, as HC18's outlines.

    a, b: half axes of the skull's outer ellipse (half OFD and half BPD); bow: sideways excursion of the midline;
    angle: of the occiput, from the image's x axis towards y (rad); height: that the image should frame. `csp` and `lvs`
    are None in the part of the heads that lack them (drawn independently); nothing else depends on them, so
    `dataclasses.replace(head, csp=None)` is the same fetus and the same speckle without the CSP.

    The BPD is 41, 66 and 85 mm at 18, 26 and 34 weeks on average, about as in Hadlock et al. 1984 (Radiology 152:497).
    """

    a: float
    b: float
    weeks: float
    bow: float
    angle: float
    shift: tuple[float, float]
    height: float
    csp: Cavum | None
    lvs: tuple[Ventricle, Ventricle] | None
    variation: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Head":
        weeks = rng.uniform(18, 34)
        grown = weeks - 18
        b = (41 + 3.5 * grown - 0.047 * grown**2) * float(np.clip(rng.normal(1, 0.04), 0.9, 1.1)) / 2
        a = b / float(np.clip(rng.normal(0.785, 0.04), 0.70, 0.88))
        tilt = float(np.clip(rng.normal(0, 0.28), -0.6, 0.6)) if rng.random() < 0.85 else rng.uniform(-pi / 2, pi / 2)
        angle = tilt + pi * int(rng.integers(2))
        across, down = _extent(a, b, angle)
        height = max(2 * down * rng.uniform(1.06, 1.5), 1.95 * across)
        shift = (rng.uniform(-0.07, 0.07) * height, rng.uniform(-0.2, 0.4) * (height - 2 * down))
        csp, lvs = Cavum.draw(rng, a, b), (Ventricle.draw(rng, a, b, -1), Ventricle.draw(rng, a, b, 1))
        has_csp, has_lvs = rng.random() < CSP_SHARE, rng.random() < LV_SHARE
        return cls(
            a, b, weeks, rng.normal(0, 0.03) * b, angle, shift, height,
            csp if has_csp else None, lvs if has_lvs else None, int(rng.integers(2**63)),
        )  # fmt: skip

    @property
    def skull(self) -> Ellipse:
        return Ellipse(0, 0, self.a, self.b)

    @property
    def extent(self) -> tuple[float, float]:
        """Half width and half height of the head in the image, mm."""
        return _extent(self.a, self.b, self.angle)

    @property
    def size_mm(self) -> tuple[float, float]:
        return 1.3 * self.height, self.height

    def to_head(self, x: Array, y: Array) -> tuple[Array, Array]:
        u, v = x - self.shift[0], y - self.shift[1]
        c, s = cos(self.angle), sin(self.angle)
        return c * u + s * v, c * v - s * u

    def to_image(self, x: Array, y: Array) -> tuple[Array, Array]:
        c, s = cos(self.angle), sin(self.angle)
        return c * x - s * y + self.shift[0], c * y + s * x + self.shift[1]

    def midline(self, x: Array) -> Array:
        """y of the midline (head frame), which meets the skull at the ends of the OFD."""
        return self.bow * (1 - (x / self.a) ** 2)

    def tissue(self, x: Array, y: Array) -> Tissue:
        return Anatomy(self, x, y).paint()

    def labels(self, x: Array, y: Array) -> NDArray[np.uint8]:
        """1: everything inside the skull's outer border but 2: the CSP and 3: the ventricles with their plexus."""
        x, y = self.to_head(x, y)
        labels = ((x / self.a) ** 2 + (y / self.b) ** 2 < 1).astype(np.uint8) * PARENCHYMA
        y = y - self.midline(x)
        for lv in self.lvs or ():
            labels[lv.distance(x, y) < 0] = LV
        if self.csp:
            labels[self.csp.distance(x, y) < 0] = CSP
        return labels

    def annotations(self, rng: np.random.Generator, view: View) -> dict[str, float | str]:
        """Outer-to-outer end points, px (ofd_1 frontal, bpd_1 nearer the probe), and the skull's perimeter in mm."""
        side = -1 if cos(self.angle) > 0 else 1
        ends = {"ofd_1": (-self.a, 0), "ofd_2": (self.a, 0), "bpd_1": (0, side * self.b), "bpd_2": (0, -side * self.b)}
        row: dict[str, float | str] = {}
        for name, end in ends.items():
            at = view.to_px(*self.to_image(*np.array(end, float)))
            row |= {f"{name}_{axis}": round(float(px), 3) for axis, px in zip("xy", at, strict=True)}
        return {**row, "hc_mm": round(float(perimeter(self.a, self.b)), 3)}


def _extent(a: float, b: float, angle: float) -> tuple[float, float]:
    """Half width and half height of the box around an ellipse turned by `angle`."""
    return hypot(a * cos(angle), b * sin(angle)), hypot(a * sin(angle), b * cos(angle))


class HeadScanner(Machine):
    """A machine set for depth: a longer pulse, and samples as much further apart; finer where it looks less deep."""

    def view(self, rng: np.random.Generator, size_mm: tuple[float, float]) -> View:
        view = super().view(rng, size_mm)
        assert isinstance(view.scan, SectorScan)
        coarser = COARSER * _fineness(view)
        samples, lines = round(view.scan.samples / coarser), round(view.scan.lines / coarser)
        return replace(view, scan=replace(view.scan, samples=samples, lines=lines))

    def acquire(self, rng: np.random.Generator, subject: Subject, view: View) -> Array:
        finer = {name: _fineness(view) * getattr(self.pulse, name) for name in ("axial", "lateral", "spread")}
        return Machine.acquire(replace(self, pulse=replace(self.pulse, **finer)), rng, subject, view)


def _fineness(view: View) -> float:
    """Length of the pulse in units of the machine's own: the shallower, the higher the frequency it can use."""
    return min(1.0, view.shape[0] * view.pixel_mm / FULL_PULSE_MM)


def _set_up(site: str, **settings: Any) -> HeadScanner:
    return HeadScanner(**vars(MACHINES[site]) | settings)


HEAD_MACHINES: dict[str, Machine] = {
    "hospital_a": _set_up(
        "hospital_a", pulse=Pulse(axial=0.24, lateral=0.45, spread=50), persistence=(0.8, 1.0),
        text=("2. Trim", "Har-low", "78", "Gn  0", "C6 / M7", "FF2 / E1"),
    ),
    "hospital_b": _set_up(
        "hospital_b", pulse=Pulse(axial=0.22, lateral=0.5, spread=50), persistence=(0.8, 1.0), sharpen=0.25,
        text=("OB BPD", "Har-mid", "88", "Gn  1", "C7 / M5", "P3 / E2"),
    ),
    "hospital_c": _set_up(
        "hospital_c", pulse=Pulse(axial=0.28, lateral=0.65, spread=50), persistence=(0.7, 1.1),
        dynamic_range_db=(55, 61), black=0.04, apex_mm=80, field=(1.3, 1.6),
        text=("OB HEAD  MI 1.2", "6-1", "29Hz", "Z 1.2", "2D", "48%", "Dyn R 60", "P Low"),
    ),
}  # fmt: skip
"""The three hospitals' machines with a convex probe and their obstetric settings."""
