"""The scenes of the phantom, and how one image of them comes about."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.errors import UserError
from ushydra_lab.phantom.annotator import Labels
from ushydra_lab.phantom.early_head import draw_head_of_any_age
from ushydra_lab.phantom.framing import Placed, Variation
from ushydra_lab.phantom.head import HEAD_MACHINES, STRUCTURES, Head
from ushydra_lab.phantom.heart import Heart
from ushydra_lab.phantom.hospitals import MACHINES, Box, Machine, Subject, View
from ushydra_lab.phantom.nt import Fetus
from ushydra_lab.phantom.nt_clinical import ClinicalFetus
from ushydra_lab.phantom.nt_regions import ClinicalRegions, Regions
from ushydra_lab.phantom.planes import PLANES, FetalPlane
from ushydra_lab.phantom.practice import Practice, varied, window
from ushydra_lab.phantom.quality import CLINIC_QUALITY, CLINICS, ECHO_LABS, ECHO_QUALITY, Clouded

BOX = ("nt_x1", "nt_y1", "nt_x2", "nt_y2")
EASY = "easy"
DIFFICULTIES = {EASY: 0.0, "real": 1.0, "hard": 1.8}
"""Severity: 0 a textbook, 1 as measured on real images."""
FEWEST_SITES, MOST_SITES = 2, 99


@dataclass(frozen=True)
class Scene:
    """draw: a textbook's subject from a generator; machines: site -> scanner; structures: names of labels 1, 2, ...

    quality: site -> low, medium or high, for scenes whose sites differ in it. trait: what the sites' populations differ
    in. From difficulty `real` on: variation: of its images; seen: a subject of some severity; finer:
    factor of the pulse's length, so that speckle is as fine as in real images.
    """

    draw: Callable[[np.random.Generator], Subject]
    machines: Mapping[str, Machine]
    trait: Callable[[Any], float]
    variation: Variation
    structures: tuple[str, ...] = ()
    quality: Mapping[str, str] = field(default_factory=dict)
    seen: Callable[[np.random.Generator, float], Subject] | None = None
    finer: float = 1.0

    def sites(self, number: int | None = None) -> list[str]:
        """The first so many sites, by default those with a machine of their own here; site k is always the same."""
        known = list(self.machines)
        wanted = len(known) if number is None else number
        if not FEWEST_SITES <= wanted <= MOST_SITES:
            raise UserError(f"data.sites={number}: from {FEWEST_SITES} to {MOST_SITES}")
        return known[:wanted] + [f"{self._prefix}_{k:02d}" for k in range(len(known) + 1, wanted + 1)]

    @property
    def _prefix(self) -> str:
        return next(iter(self.machines)).rsplit("_", 1)[0]

    def model(self, site: str) -> str | None:
        """The site whose machine this one's is a variety of: itself if it is among the first; None if unknown."""
        if site in self.machines:
            return site
        number = re.fullmatch(rf"{self._prefix}_(\d\d)", site)
        if not number or int(number[1]) <= len(self.machines):
            return None
        return list(self.machines)[stable_hash(site) % len(self.machines)]

    def machine(self, site: str) -> Machine:
        model = self.machines[self.model(site) or site]
        return model if site in self.machines else varied(model, _generator("machine", site))

    def patient(self, rng: np.random.Generator, severity: float) -> Subject:
        """One subject, as clinics see it where the scene knows how."""
        return self.seen(rng, severity) if self.seen and severity else self.draw(rng)


def _thickness(fetus: Fetus) -> float:
    return fetus.strip.thickness


def _maturity(head: Head) -> float:
    """Older heads, and those that show a CSP or ventricles, count as more."""
    return head.weeks / 10 + (head.csp is not None) + (head.lvs is not None)


def _plane(section: FetalPlane) -> float:
    return list(PLANES).index(section.plane)


def _width(heart: Heart) -> float:
    return heart.width


def _head_seen(rng: np.random.Generator, severity: float) -> Head:
    return draw_head_of_any_age(rng)


NT_VARIES, HEADS_VARY = Variation(0.1, 0.14, 0.036, 2.6), Variation(0.03, 0.05, 0.04, 0.7)
SCENES = {
    "nt": Scene(Fetus.draw, MACHINES, _thickness, NT_VARIES, seen=ClinicalFetus.seen, finer=0.82),
    "nt_regions": Scene(Regions.draw, MACHINES, _thickness, NT_VARIES, seen=ClinicalRegions.seen, finer=0.82),
    "head": Scene(Head.draw, HEAD_MACHINES, _maturity, HEADS_VARY, STRUCTURES, seen=_head_seen, finer=0.93),
    "head_of_any_age": Scene(draw_head_of_any_age, HEAD_MACHINES, _maturity, HEADS_VARY, STRUCTURES, finer=0.93),
    "planes": Scene(FetalPlane.draw, CLINICS, _plane, Variation(0.05, 0.06, 0.03, 1.5), quality=CLINIC_QUALITY),
    "heart": Scene(Heart.draw, ECHO_LABS, _width, Variation(0.06, 0.03, 0.01, 1.5), ("lv",), ECHO_QUALITY),
}


@dataclass
class Record:
    """One image with its truth; `annotations` are the manifest's columns; mask: labels (H, W), of the image's size."""

    image: NDArray[np.uint8]
    site: str
    subject: str
    pixel_mm: float
    annotations: dict[str, float | str]
    mask: NDArray[np.uint8] | None


def stable_hash(text: str) -> int:
    """64 bits that do not change from one process to the next, unlike `hash`."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def scene_of(name: str, sites: Iterable[str]) -> Scene:
    """The scene of that name. Raises UserError for an unknown scene, or sites it does not have."""
    if name not in SCENES:
        raise UserError(f"the phantom has no scene {name!r}; choose from {', '.join(SCENES)}")
    scene = SCENES[name]
    if unknown := [site for site in sites if not scene.model(site)]:
        known = f"{', '.join(scene.machines)} and, with data.sites, {scene.sites(len(scene.machines) + 1)[-1]} on"
        raise UserError(f"phantom scene {name}: no site {', '.join(unknown)}; it has {known}")
    return scene


def severity_of(difficulty: str) -> float:
    """Raises UserError for an unknown difficulty."""
    if difficulty not in DIFFICULTIES:
        raise UserError(f"data.difficulty={difficulty}: choose one of {', '.join(DIFFICULTIES)}")
    return DIFFICULTIES[difficulty]


def render(name: str, seed: int, site: str, index: int, difficulty: str = EASY) -> Record:
    """One record of a scene: a function of these arguments alone. Raises UserError for an unknown name of any kind."""
    scene, severity = scene_of(name, [site]), severity_of(difficulty)
    rng = np.random.default_rng([seed, stable_hash(site), index])
    textbook = not severity and site in scene.machines
    view, annotations, mask, image = (_textbook if textbook else _everyday)(rng, scene, site, severity)
    if quality := scene.quality.get(scene.model(site) or site):
        annotations["quality"] = quality
    return Record(image, site, f"{index:04d}", view.pixel_mm, annotations, mask)


Parts = tuple[View, dict[str, float | str], Labels | None, NDArray[np.uint8]]


def _textbook(rng: np.random.Generator, scene: Scene, site: str, _: float) -> Parts:
    machine, subject = scene.machines[site], scene.draw(rng)
    view = machine.view(rng, subject.size_mm)
    annotations = subject.annotations(rng, view)
    mask = _visible_labels(subject, view)
    image = machine.burn_in(rng, machine.acquire(rng, subject, view), *_spared(annotations, mask))
    return view, annotations, mask, image


def _everyday(rng: np.random.Generator, scene: Scene, site: str, severity: float) -> Parts:
    """An image with the habits of the site's patients, operators and annotators."""
    practice = Practice.of(_generator("practice", site), max(1.0, severity**0.7))
    machine = practice.set_up(rng, scene.machine(site), scene.variation, severity, scene.finer)
    patient = practice.patient(rng, partial(scene.patient, severity=severity), scene.trait)
    subject = practice.placed(rng, patient, scene.variation, severity)
    view = machine.view(rng, subject.size_mm)
    subject = _framed(subject, view)
    truth = subject.annotations(rng, view)
    seen = cast(Subject, Clouded(rng, subject, window(severity), view.scan)) if severity else subject
    grey = machine.acquire(rng, seen, view)
    annotations = practice.annotator.read(rng, truth, view.shape, severity)
    mask = practice.annotator.trace(rng, subject, view, severity)
    return view, annotations, mask, machine.burn_in(rng, grey, *_spared(annotations, mask))


def _generator(what: str, site: str) -> np.random.Generator:
    return np.random.default_rng([stable_hash(what), stable_hash(site)])


def _framed(subject: Placed, view: View) -> Placed:
    """Nearer to its usual place if end points would lie outside the image."""
    for factor in (1.0, 0.5, 0.25):
        nearer = replace(subject, shift=(factor * subject.shift[0], factor * subject.shift[1]))
        points = nearer.annotations(np.random.default_rng(0), view).items()
        ends = [(float(value), view.shape[key[-1] == "x"]) for key, value in points if key.endswith(("_x", "_y"))]
        if all(0 <= px <= side for px, side in ends):
            return nearer
    return replace(subject, shift=(0.0, 0.0))


def _visible_labels(subject: Subject, view: View) -> NDArray[np.uint8] | None:
    x, y = view.grid()
    labels = subject.labels(x, y)
    return None if labels is None else np.where(view.visible(x, y), labels, 0).astype(np.uint8)


def _spared(annotations: dict[str, float | str], mask: NDArray[np.uint8] | None) -> tuple[Box | None, bool]:
    """The box that an inset must not cover, and whether caliper crosses may stand in it."""
    if "nt_x1" in annotations:
        x1, y1, x2, y2 = (float(annotations[key]) for key in BOX)
        return (x1, y1, x2, y2), True
    if mask is None or not mask.any():
        return None, False
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)), False
