"""Machines of sites that differ in image quality: fetal clinics (`CLINICS`) and echo labs (`ECHO_LABS`).

Quality is resolution, noise, clutter and shadowing. `low` is a handheld in a setting of few resources: few
lines, a long wide pulse, electronic noise, a narrow dynamic range, low gain, near-field clutter, poor contact,
a small image. `high` has many lines, a short narrow pulse, compounding and a wide dynamic range. The unseen
sites are `medium`: neither as sharp as `high` nor as hazy as `low`, with a grey map of their own, so that the
quality of an image is known but its style is not.
"""

from dataclasses import dataclass, replace
from math import cos
from typing import cast

import numpy as np

from ushydra_lab.phantom.hospitals import Machine, Subject, View
from ushydra_lab.phantom.shapes import texture
from ushydra_lab.phantom.speckle import Array, Pulse, Scan, Tissue


@dataclass(frozen=True)
class Fan:
    """A Scan with a curved probe of `radius` mm: it shows the arcs of the probe and of the greatest depth.

    Both arcs just fit into `depth` mm; `angle` is half the opening (rad).
    """

    radius: float
    angle: float
    depth: float
    samples: int
    lines: int

    @property
    def apex(self) -> float:
        """y of the point where the beams would meet."""
        return -self.radius * cos(self.angle) - self.depth / 2

    def radii(self) -> Array:
        r: Array = np.linspace(self.radius, self.depth / 2 - self.apex, self.samples, dtype=np.float32)
        return r

    def points(self) -> tuple[Array, Array]:
        r, theta = self.radii()[:, None], np.linspace(-self.angle, self.angle, self.lines, dtype=np.float32)
        return r * np.sin(theta), r * np.cos(theta) + np.float32(self.apex)

    def locate(self, x: Array, y: Array) -> tuple[Array, Array]:
        r, down = self.radii(), y - np.float32(self.apex)
        row = (np.hypot(x, down) - r[0]) / (r[-1] - r[0]) * (self.samples - 1)
        return row, (np.arctan2(x, down) / self.angle + 1) / 2 * (self.lines - 1)

    def line_mm(self) -> Array:
        return self.radii() * np.float32(2 * self.angle / (self.lines - 1))


@dataclass(frozen=True)
class Window:
    """What lies between probe and subject, drawn anew for every image (pairs are ranges, uniform).

    clutter_db: reverberation at the probe, relative to soft tissue; clutter_mm: depth at which it has fallen by
    8.7 dB; loss: dB per mm that the time gain compensation does not make up for; shadows: mean number of beams
    bundles without contact; shadow_db: what such a bundle loses.
    """

    clutter_db: tuple[float, float]
    clutter_mm: tuple[float, float]
    loss: tuple[float, float]
    shadows: float
    shadow_db: tuple[float, float]

    def cloud(self, rng: np.random.Generator, tissue: Tissue, scan: Scan) -> Tissue:
        """The tissue (samples, lines) as it appears through the window."""
        x, y = scan.points()
        depth = np.hypot(x - x[0], y - y[0])
        patches = texture(rng, x, y, (9.0, 4.0))
        haze = rng.uniform(*self.clutter_db) - 8.7 * depth / rng.uniform(*self.clutter_mm) + 3 * patches
        scatter = 10 * np.log10(10 ** (tissue.scatter / 10) + 10 ** (haze / 10))
        attenuation = tissue.attenuation + np.float32(rng.uniform(*self.loss))
        attenuation[0] += self._shadows(rng, scan.lines) / (depth[1, scan.lines // 2])
        return replace(tissue, scatter=scatter.astype(np.float32), attenuation=attenuation)

    def _shadows(self, rng: np.random.Generator, lines: int) -> Array:
        """Loss of every beam at the probe's surface (dB); the edges of the probe touch worst."""
        beam, loss = np.linspace(-1, 1, lines), np.zeros(lines)
        for _ in range(rng.poisson(self.shadows)):
            middle, width = rng.choice([-1, 1]) * rng.beta(3, 1.5), rng.uniform(0.04, 0.16)
            loss += rng.uniform(*self.shadow_db) * np.exp(-(((beam - middle) / width) ** 2))
        return loss


@dataclass(frozen=True)
class Clinic(Machine):
    """A machine with a curved or phased array: `lines` beams over `angle` (half the opening, rad, a range),
    sampled every `sample_mm`, seen through `window`.
    """

    lines: int
    angle: tuple[float, float]
    sample_mm: float
    window: Window

    def view(self, rng: np.random.Generator, size_mm: tuple[float, float]) -> View:
        view = super().view(rng, size_mm)
        depth = view.shape[0] * view.pixel_mm
        fan = Fan(self.apex_mm, rng.uniform(*self.angle), depth, round(depth / self.sample_mm), self.lines)
        return replace(view, scan=fan)

    def acquire(self, rng: np.random.Generator, subject: Subject, view: View) -> Array:
        return super().acquire(rng, cast(Subject, Clouded(rng, subject, self.window, view.scan)), view)


@dataclass(frozen=True)
class Clouded:
    """The part of a Subject that a scan sees, behind a window."""

    rng: np.random.Generator
    subject: Subject
    window: Window
    scan: Scan

    def tissue(self, x: Array, y: Array) -> Tissue:
        return self.window.cloud(self.rng, self.subject.tissue(x, y), self.scan)


LOW_WINDOW = Window(
    clutter_db=(-6, 0), clutter_mm=(14, 24), loss=(0.02, 0.07), shadows=1.0, shadow_db=(6, 16)
)  # fmt: skip
MEDIUM_WINDOW = Window(
    clutter_db=(-14, -6), clutter_mm=(14, 24), loss=(0.0, 0.04), shadows=0.5, shadow_db=(4, 10)
)  # fmt: skip
HIGH_WINDOW = Window(
    clutter_db=(-22, -14), clutter_mm=(10, 20), loss=(-0.01, 0.02), shadows=0.2, shadow_db=(3, 8)
)  # fmt: skip

CLINICS: dict[str, Machine] = {
    "clinic_low": Clinic(
        height=(230, 280), aspect=(1.2, 1.35), fill=(0.9, 1.0), field=(1.0, 1.0), apex_mm=45,
        pulse=Pulse(axial=0.42, lateral=0.95), persistence=(0.8, 0.6),
        gain_db=(-25, -23), dynamic_range_db=(42, 48), tgc_db=(2, 0, -4), noise_db=-19,
        gamma=1.3, sharpen=0.0, black=0.0,
        text=("OB", "3.5MHz", "G 40"), text_on_left=True, inset=0.0, crosses=0.0,
        lines=128, angle=(0.5, 0.6), sample_mm=0.18, window=LOW_WINDOW,
    ),
    "clinic_medium": Clinic(
        height=(380, 440), aspect=(1.3, 1.45), fill=(0.9, 1.0), field=(1.0, 1.0), apex_mm=55,
        pulse=Pulse(axial=0.3, lateral=0.7, spread=30), persistence=(1.2, 0.9),
        gain_db=(-21, -19.5), dynamic_range_db=(54, 57), tgc_db=(0, 1, -1), noise_db=-30,
        gamma=1.5, sharpen=0.0, black=0.0,
        text=("2.Trim.", "Har-mid", "90", "Gn  1", "C6 / M12", "FF3 / E2"), text_on_left=False, inset=0.0, crosses=0.0,
        lines=176, angle=(0.48, 0.58), sample_mm=0.16, window=MEDIUM_WINDOW,
    ),
    "clinic_high": Clinic(
        height=(500, 560), aspect=(1.35, 1.5), fill=(0.9, 1.0), field=(1.0, 1.0), apex_mm=60,
        pulse=Pulse(axial=0.2, lateral=0.42, spread=45), persistence=(1.4, 0.7),
        gain_db=(-14.5, -13), dynamic_range_db=(64, 68), tgc_db=(0, 0, 1), noise_db=-42,
        gamma=1.7, sharpen=0.4, black=0.0,
        text=("Fetal  MI 0.9", "9-2", "38Hz", "Z 1.6", "2D", "58%", "Dyn R 68", "P Med"), text_on_left=True,
        inset=0.0, crosses=0.0,
        lines=256, angle=(0.5, 0.62), sample_mm=0.14, window=HIGH_WINDOW,
    ),
    "clinic_unseen": Clinic(
        height=(420, 470), aspect=(1.25, 1.4), fill=(0.9, 1.0), field=(1.0, 1.0), apex_mm=40,
        pulse=Pulse(axial=0.32, lateral=0.62, focus=0.5, spread=30), persistence=(0.8, 1.2),
        gain_db=(-18, -16), dynamic_range_db=(58, 62), tgc_db=(-3, 1, 0), noise_db=-32,
        gamma=1.9, sharpen=0.3, black=0.06,
        text=("C5-1", "OB Gen", "29Hz", "RS", "HGen", "Gn 54"), text_on_left=True, inset=0.0, crosses=0.0,
        lines=192, angle=(0.55, 0.65), sample_mm=0.16, window=MEDIUM_WINDOW,
    ),
}  # fmt: skip
CLINIC_QUALITY = {"clinic_low": "low", "clinic_medium": "medium", "clinic_high": "high", "clinic_unseen": "medium"}

LOW_ECHO_WINDOW = replace(LOW_WINDOW, clutter_db=(-12, -3), clutter_mm=(25, 45), loss=(0.0, 0.03))
MEDIUM_ECHO_WINDOW = replace(MEDIUM_WINDOW, clutter_db=(-16, -8), clutter_mm=(20, 40), loss=(-0.01, 0.02))
HIGH_ECHO_WINDOW = replace(HIGH_WINDOW, clutter_db=(-24, -14), clutter_mm=(15, 35), loss=(-0.01, 0.01))

ECHO_LABS: dict[str, Machine] = {
    "echo_low": Clinic(
        height=(260, 310), aspect=(1.15, 1.25), fill=(1.0, 1.0), field=(1.0, 1.0), apex_mm=8,
        pulse=Pulse(axial=0.85, lateral=1.9, focus=0.4, spread=55), persistence=(0.8, 0.5),
        gain_db=(-23, -20), dynamic_range_db=(42, 46), tgc_db=(2, 0, -3), noise_db=-20,
        gamma=1.3, sharpen=0.0, black=0.0,
        text=("Cardiac", "2.0MHz", "G 45"), text_on_left=True, inset=0.0, crosses=0.0,
        lines=110, angle=(0.62, 0.7), sample_mm=0.35, window=LOW_ECHO_WINDOW,
    ),
    "echo_high": Clinic(
        height=(500, 580), aspect=(1.1, 1.2), fill=(1.0, 1.0), field=(1.0, 1.0), apex_mm=8,
        pulse=Pulse(axial=0.4, lateral=0.85, focus=0.4, spread=60), persistence=(1.2, 0.8),
        gain_db=(-17, -14), dynamic_range_db=(60, 64), tgc_db=(-2, 0, 1), noise_db=-40,
        gamma=1.6, sharpen=0.3, black=0.0,
        text=("Adult Echo", "S5-1", "52Hz", "16cm", "2D", "HGen", "Gn 50", "C 56"), text_on_left=True,
        inset=0.0, crosses=0.0,
        lines=200, angle=(0.66, 0.76), sample_mm=0.25, window=HIGH_ECHO_WINDOW,
    ),
    "echo_unseen": Clinic(
        height=(400, 450), aspect=(1.2, 1.3), fill=(1.0, 1.0), field=(1.0, 1.0), apex_mm=10,
        pulse=Pulse(axial=0.55, lateral=1.25, focus=0.5, spread=50), persistence=(1.4, 0.6),
        gain_db=(-18, -15), dynamic_range_db=(52, 56), tgc_db=(-4, 1, 1), noise_db=-30,
        gamma=1.8, sharpen=0.0, black=0.05,
        text=("3Sc", "1.7/3.4", "FR 61", "D 15.0"), text_on_left=False, inset=0.0, crosses=0.0,
        lines=144, angle=(0.64, 0.72), sample_mm=0.3, window=MEDIUM_ECHO_WINDOW,
    ),
}  # fmt: skip
ECHO_QUALITY = {"echo_low": "low", "echo_high": "high", "echo_unseen": "medium"}
