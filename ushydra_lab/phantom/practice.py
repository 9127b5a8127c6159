"""What hospitals differ in besides their machines, and what everyday images have that a textbook's lack.

A hospital's patients, its operators' habits and its annotators' are drawn once from the site; an image then strays from
these habits. Reference measurements in mm stay the truth: annotators move boxes, end points and outlines alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from ushydra_lab.phantom.hospitals import Machine, Subject, View
from ushydra_lab.phantom.quality import Clinic, Window
from ushydra_lab.phantom.speckle import Array, Tissue
from ushydra_lab.phantom.warp import warped

Labels = NDArray[np.uint8]
Draw = Callable[[np.random.Generator], Subject]
TEXTS = (
    "OB",
    "1.Trim",
    "2.Trim",
    "Har-high",
    "Har-low",
    "MI 1.1",
    "Gn  4",
    "C6 / M9",
    "FF3 / E1",
    "31Hz",
    "P Med",
    "Z 2.0",
)
TRACED_MM = (8.0, 30.0)
"""Lengths of the waves in which a traced outline leaves the true one."""
TIGHT = 0.13
"""Part of a box's height that annotators cut off above and below: real boxes end on the lines."""


@dataclass(frozen=True)
class Framing:
    """How a scene's images stray at severity 1: by what part the subject is smaller; SD of its place, of its size."""

    smaller: float
    x: float
    y: float


@dataclass(frozen=True)
class Placed:
    """A subject that takes `zoom` of its usual size in the image, `shift` mm away from its usual place."""

    subject: Subject
    zoom: float
    shift: tuple[float, float]

    @property
    def size_mm(self) -> tuple[float, float]:
        width, height = self.subject.size_mm
        return width / self.zoom, height / self.zoom

    def tissue(self, x: Array, y: Array) -> Tissue:
        return self.subject.tissue(x - np.float32(self.shift[0]), y - np.float32(self.shift[1]))

    def labels(self, x: Array, y: Array) -> Labels | None:
        return self.subject.labels(x - self.shift[0], y - self.shift[1])

    def annotations(self, rng: np.random.Generator, view: View) -> dict[str, float | str]:
        return self.subject.annotations(rng, ShiftedView(view.shape, view.pixel_mm, view.scan, self.shift))


@dataclass(frozen=True)
class ShiftedView(View):
    """A view in the coordinates of a subject that was shifted (mm)."""

    shift: tuple[float, float]

    def to_px(self, x: Array, y: Array) -> tuple[Array, Array]:
        return super().to_px(x + self.shift[0], y + self.shift[1])

    def visible(self, x: Array, y: Array) -> NDArray[np.bool_]:
        return View(self.shape, self.pixel_mm, self.scan).visible(x + self.shift[0], y + self.shift[1])


@dataclass(frozen=True)
class Practice:
    """The habits of one hospital.

    lean: share of patients who are the more extreme of two in the scene's trait, below 0 the less extreme; zoom, aim:
    size and place of the subject, of the usual size and in parts of the image; gain_db, tgc_db: how the machine is set;
    margin, offset: by what parts of its size an annotator enlarges and moves a box; reach: by what part end points lie
    further out; traced_px: by how much outlines are traced outside the border.
    """

    lean: float
    zoom: float
    aim: tuple[float, float]
    gain_db: float
    tgc_db: float
    margin: float
    offset: tuple[float, float]
    reach: float
    traced_px: float

    @classmethod
    def of(cls, rng: np.random.Generator, spread: float) -> "Practice":
        return cls(
            lean=float(np.clip(rng.normal(0, 0.4 * spread), -0.9, 0.9)),
            zoom=rng.normal(0, 0.06 * spread),
            aim=(rng.normal(0, 0.02 * spread), rng.normal(0, 0.015 * spread)),
            gain_db=rng.normal(0, 0.6 * spread),
            tgc_db=rng.normal(0, 1.0 * spread),
            margin=rng.normal(0, 0.03 * spread),
            offset=(rng.normal(0, 0.02 * spread), rng.normal(0, 0.02 * spread)),
            reach=rng.normal(0, 0.008 * spread),
            traced_px=rng.normal(0, 1.0 * spread),
        )

    def patient(self, rng: np.random.Generator, draw: Draw, trait: Callable[[Any], float]) -> Subject:
        one = draw(rng)
        if rng.random() >= abs(self.lean):
            return one
        return (max if self.lean > 0 else min)(one, draw(rng), key=trait)

    def placed(self, rng: np.random.Generator, subject: Subject, framing: Framing, severity: float) -> Placed:
        """As the operator frames the subject: smaller than in a textbook and not in the middle."""
        smaller = abs(rng.normal(framing.smaller, 0.7 * framing.smaller))
        zoom = min(1.0, float(np.exp(self.zoom - severity * smaller)))
        away = np.array(self.aim) + np.clip(rng.normal(0, 1, 2), -2, 2) * severity * (framing.x, framing.y)
        x, y = away * subject.size_mm / zoom
        return Placed(subject, zoom, (float(x), float(y)))

    def set_up(self, rng: np.random.Generator, machine: Machine, severity: float, finer: float) -> Machine:
        """The machine as it is set for one image; `finer`: factor of its pulse and of its smoothing."""
        gain = self.gain_db + rng.normal(0, 2.0 * severity)
        depth = np.linspace(0, 1, 5)
        tgc = np.interp(depth, np.linspace(0, 1, len(machine.tgc_db)), machine.tgc_db)
        tgc += self.tgc_db * (2 * depth - 1) + rng.normal(0, 1.0 * severity, depth.shape)
        sharpness = (finer if severity else 1.0) * float(np.exp(rng.normal(0, 0.08 * severity)))
        pulse = replace(machine.pulse, axial=sharpness * machine.pulse.axial, lateral=sharpness * machine.pulse.lateral)
        narrower = rng.uniform(1 - 0.15 * severity, 1)
        settings: dict[str, Any] = {"angle": _scaled(machine.angle, narrower)} if isinstance(machine, Clinic) else {}
        return replace(
            machine,
            gain_db=(machine.gain_db[0] + gain, machine.gain_db[1] + gain),
            tgc_db=tuple(map(float, tgc)),
            pulse=pulse,
            persistence=_scaled(machine.persistence, sharpness**2),
            noise_db=machine.noise_db + rng.uniform(0, 1.5 * severity),
            black=machine.black / (1 + 3 * severity),
            field=_scaled(machine.field, narrower),
            **settings,
        )

    def read(
        self, rng: np.random.Generator, truth: dict[str, float | str], shape: tuple[int, int], severity: float
    ) -> dict[str, float | str]:
        """The annotations as this hospital's annotators give them."""
        given, limits = dict(truth), np.array([shape[1], shape[0]], float)
        for name in [key.removesuffix("_x1") for key in truth if key.endswith("_x1")]:
            keys = [f"{name}_{edge}" for edge in ("x1", "y1", "x2", "y2")]
            given |= zip(keys, self._box(rng, [float(truth[key]) for key in keys], limits, severity), strict=True)
        for name in [key.removesuffix("_1_x") for key in truth if key.endswith("_1_x")]:
            keys = [f"{name}_{end}_{axis}" for end in (1, 2) for axis in "xy"]
            given |= zip(keys, self._ends(rng, [float(truth[key]) for key in keys], limits, severity), strict=True)
        return given

    def _box(self, rng: np.random.Generator, edges: list[float], limits: Array, severity: float) -> list[float]:
        first, last = np.array(edges).reshape(2, 2)
        middle, half = (first + last) / 2, (last - first) / 2
        middle = middle + half * (np.array(self.offset) + rng.normal(0, 0.03 * severity, 2))
        half = half * (1 + self.margin - np.array([0, 2 * TIGHT * severity**0.5]) + rng.normal(0, 0.03 * severity, 2))
        corners = np.stack([middle - half, middle + half])
        return [float(edge) for edge in np.clip(corners.round(), 0, limits.round()).ravel()]

    def _ends(self, rng: np.random.Generator, points: list[float], limits: Array, severity: float) -> list[float]:
        first, last = np.array(points).reshape(2, 2)
        middle, half = (first + last) / 2, (last - first) / 2 * (1 + self.reach)
        slip = rng.normal(0, 0.006 * severity * np.hypot(*half), (2, 2))
        return [
            round(float(px), 3) for px in np.clip(np.stack([middle - half, middle + half]) + slip, 0, limits).ravel()
        ]

    def trace(self, rng: np.random.Generator, subject: Subject, view: View, severity: float) -> Labels | None:
        """The labels of every pixel as outlines are traced by hand: along waves, a little outside or inside."""
        x, y = view.grid()
        u, v = warped(rng, x, y, TRACED_MM)
        labels = subject.labels(x + severity * (u - x), y + severity * (v - y))
        if labels is None:
            return None
        size = 2 * round(abs(self.traced_px)) + 1
        grown: Labels = (maximum_filter if self.traced_px > 0 else minimum_filter)(labels, size)
        return np.where(view.visible(x, y), grown, 0).astype(np.uint8)


def window(severity: float) -> Window:
    """Haze, shadows and loss of an everyday image; none at severity 0."""
    return Window(
        clutter_db=(-56 + 8 * severity, -20 + 6 * severity),
        clutter_mm=(14, 40),
        loss=(-0.02 * severity, 0.03 * severity),
        shadows=0.5 * severity,
        shadow_db=(3, 5 + 5 * severity),
    )


def varied(machine: Machine, rng: np.random.Generator) -> Machine:
    """Another machine of about that kind."""

    def times(value: float, sd: float) -> float:
        return value * float(np.exp(rng.normal(0, sd)))

    gain, span = rng.normal(0, 1.0), times(1, 0.06)
    return replace(
        machine,
        height=_scaled(machine.height, times(1, 0.08)),
        aspect=_scaled(machine.aspect, times(1, 0.04)),
        pulse=replace(
            machine.pulse, axial=times(machine.pulse.axial, 0.12), lateral=times(machine.pulse.lateral, 0.12)
        ),
        persistence=_scaled(machine.persistence, times(1, 0.15)),
        gain_db=(machine.gain_db[0] + gain, machine.gain_db[1] + gain),
        dynamic_range_db=_scaled(machine.dynamic_range_db, span),
        tgc_db=tuple(level + rng.normal(0, 1.5) for level in machine.tgc_db),
        noise_db=machine.noise_db + rng.normal(0, 2),
        gamma=times(machine.gamma, 0.08),
        sharpen=float(rng.choice([0.0, 0.25, 0.5])),
        black=float(rng.choice([0.0, 0.0, rng.uniform(0, 0.08)])),
        text=tuple(map(str, rng.choice(TEXTS, 6, replace=False))),
        text_on_left=bool(rng.random() < 0.5),
        inset=rng.uniform(0, 0.8) if machine.inset else 0.0,
        crosses=rng.uniform(0, 0.5) if machine.crosses else 0.0,
    )


def _scaled(pair: tuple[float, float], factor: float) -> tuple[float, float]:
    return pair[0] * factor, pair[1] * factor
