"""What hospitals differ in besides their machines, and what everyday images have that a textbook's lack.

A hospital's patients, its operators' habits and its annotators' are drawn once from the site; an image then strays from
these habits by a severity: 0 as in a textbook, 1 as measured on real images.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ushydra_lab.phantom.annotator import Annotator
from ushydra_lab.phantom.framing import Placed, Variation
from ushydra_lab.phantom.hospitals import Machine, Subject
from ushydra_lab.phantom.quality import Clinic, Window

Draw = Callable[[np.random.Generator], Subject]
TEXTS = ("OB", "1.Trim", "2.Trim", "Har-high", "Har-low", "MI 1.1", "Gn  4", "C6 / M9", "FF3 / E1", "31Hz", "P Med")
FARTHEST = 0.3
"""A subject lies at most so far from its usual place, in parts of its size: what is annotated stays in the image."""
CUT = 0.2
"""Share of images at severity 1 whose field is so narrow that it may cut the subject."""
WIDEST_DB = 58.0
"""Dynamic range that everyday presets stay below, so that fluid is dark."""


@dataclass(frozen=True)
class Practice:
    """The habits of one hospital.

    lean: share of patients who are the more extreme of two in the scene's trait, below 0 the less extreme; zoom, aim:
    size and place of the subject, of the usual size and in parts of the image; gain_db, tgc_db: how the machine is set.
    """

    lean: float
    zoom: float
    aim: tuple[float, float]
    gain_db: float
    tgc_db: float
    annotator: Annotator

    @classmethod
    def of(cls, rng: np.random.Generator, spread: float) -> "Practice":
        return cls(
            lean=float(np.clip(rng.normal(0, 0.4 * spread), -0.9, 0.9)),
            zoom=rng.normal(0, 0.06 * spread),
            aim=(rng.normal(0, 0.02 * spread), rng.normal(0, 0.015 * spread)),
            gain_db=rng.normal(0, 0.6 * spread),
            tgc_db=rng.normal(0, 1.0 * spread),
            annotator=Annotator.of(rng, spread),
        )

    def patient(self, rng: np.random.Generator, draw: Draw, trait: Callable[[Any], float]) -> Subject:
        one = draw(rng)
        if rng.random() >= abs(self.lean):
            return one
        return (max if self.lean > 0 else min)(one, draw(rng), key=trait)

    def placed(self, rng: np.random.Generator, subject: Subject, variation: Variation, severity: float) -> Placed:
        """As the operator frames the subject: smaller than in a textbook and not in the middle."""
        smaller = abs(rng.normal(variation.smaller, 0.7 * variation.smaller))
        zoom = min(1.0, float(np.exp(self.zoom - severity * smaller)))
        away = np.array(self.aim) + rng.normal(0, 1, 2) * severity * (variation.x, variation.y)
        x, y = np.clip(away, -FARTHEST, FARTHEST) * subject.size_mm / zoom
        return Placed(subject, zoom, (float(x), float(y)))

    def set_up(
        self, rng: np.random.Generator, machine: Machine, variation: Variation, severity: float, finer: float
    ) -> Machine:
        """The machine as it is set for one image; `finer`: factor of its pulse and of its smoothing."""
        gain = self.gain_db + rng.normal(0, variation.gain_db * severity)
        depth = np.linspace(0, 1, 5)
        tgc = np.interp(depth, np.linspace(0, 1, len(machine.tgc_db)), machine.tgc_db)
        tgc += self.tgc_db * (2 * depth - 1) + rng.normal(0, 1.0 * severity, depth.shape)
        span = min(1.0, WIDEST_DB / machine.dynamic_range_db[1]) if severity else 1.0
        sharpness = (finer if severity else 1.0) * float(np.exp(rng.normal(0, 0.08 * severity)))
        pulse = replace(machine.pulse, axial=sharpness * machine.pulse.axial, lateral=sharpness * machine.pulse.lateral)
        narrower = rng.uniform(1 - 0.15 * severity, 1) * (rng.uniform(0.75, 1) if rng.random() < CUT * severity else 1)
        settings: dict[str, Any] = {"angle": _scaled(machine.angle, narrower)} if isinstance(machine, Clinic) else {}
        return replace(
            machine,
            gain_db=(machine.gain_db[0] + gain, machine.gain_db[1] + gain),
            tgc_db=tuple(map(float, tgc)),
            pulse=pulse,
            persistence=_scaled(machine.persistence, sharpness**2),
            noise_db=machine.noise_db + rng.uniform(0, 1.5 * severity),
            dynamic_range_db=_scaled(machine.dynamic_range_db, span),
            black=machine.black / (1 + 3 * severity),
            field=_scaled(machine.field, narrower),
            **settings,
        )


def window(severity: float) -> Window:
    """Haze, shadows and loss of an everyday image."""
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
