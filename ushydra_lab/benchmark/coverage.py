"""Measured coverage and width of every interval that the lab prints, in simulations whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from ushydra_lab.benchmark.null_tables import CLUSTERED
from ushydra_lab.results.clustered import Clustered, clustered_auroc, clustered_calibration, clustered_share
from ushydra_lab.results.crossed import effect_of
from ushydra_lab.results.hospitals import across_hospitals
from ushydra_lab.results.repeats import bland_altman_repeated

Interval = tuple[float, float]
REPEATS = 6
"""Images of each subject."""
Draw = Callable[[np.random.Generator], Iterator[tuple[str, Interval, float]]]


@dataclass(frozen=True)
class Covered:
    """How often intervals held the truth, and their mean width."""

    what: str
    size: str
    share: float
    width: float


def measured(draw: Draw, size: str, trials: int) -> list[Covered]:
    """Coverage of each interval that `draw` names, over as many simulations; undefined intervals are left out."""
    rng = np.random.default_rng(0)
    found: dict[str, list[tuple[bool, float]]] = {}
    for _ in range(trials):
        for name, (low, high), truth in draw(rng):
            if not np.isnan(low):
                found.setdefault(name, []).append((bool(low <= truth <= high), high - low))
    return [Covered(name, size, *(float(x) for x in np.mean(each, axis=0))) for name, each in found.items()]


def every(trials: int) -> Iterator[Covered]:
    """All intervals, in all their cells."""
    for seeds in (2, 3, 5, 10):
        for seed_sd, response in ((0.0, 0.0), (0.2, 0.0), (0.2, 1.0), (0.5, 1.0)):
            size = f"{seeds} seeds, their SD {seed_sd}, response {response:g}"
            yield from measured(_change(seeds, seed_sd, response), size, trials)
    for hospitals in (2, 3, 5, 10):
        for between in (0.0, 0.5, 2.0):
            size = f"{hospitals} hospitals, SD between {between}"
            yield from measured(_hospitals(hospitals, between), size, 4 * trials)
    for subjects in (10, 20, 60):
        for alike in (0.0, 0.3, 0.8):
            size = f"{subjects} subjects x {REPEATS} images, correlation {alike}"
            for draw in (_agreement, _share, _auroc, _calibration):
                yield from measured(draw(subjects, alike), size, trials)


def _change(seeds: int, seed_sd: float, response: float) -> Draw:
    """Of the change of a comparison, plain and in per cent, alone and as one of a family of 18."""

    def draw(rng: np.random.Generator) -> Iterator[tuple[str, Interval, float]]:
        counts = np.broadcast_to(CLUSTERED.astype(float), (seeds, len(CLUSTERED)))
        subject = 4 + rng.normal(0, 1, (1, len(CLUSTERED)))
        sides = [
            subject + mean + rng.normal(0, seed_sd, (seeds, 1)) + rng.normal(0, response / 2**0.5, subject.shape)
            + rng.normal(0, 0.5, counts.shape) / np.sqrt(counts)
            for mean in (0.0, 0.5)
        ]  # fmt: skip
        first, second = (side * counts for side in sides)
        plain, relative = (effect_of(first, second, counts, 10.0, of) for of in (False, True))
        yield "change", plain.interval(), 0.5
        yield "change, one of 18", plain.interval(0.05 / 18), 0.5
        yield "change in per cent", relative.interval(), 12.5

    return draw


def _hospitals(number: int, between: float) -> Draw:
    """Sites of unequal sizes, whose variances are known with 4 degrees of freedom (five seeds)."""
    sizes = np.resize([0.3, 1.0, 3.0], number)

    def draw(rng: np.random.Generator) -> Iterator[tuple[str, Interval, float]]:
        true = rng.normal(1.0, between, number)
        found = across_hospitals(rng.normal(true, np.sqrt(sizes)), sizes * rng.chisquare(4, number) / 4)
        yield "mean over hospitals", found.interval(), 1.0
        yield "effect at a new hospital", found.prediction, rng.normal(1.0, between)

    return draw


def _images(rng: np.random.Generator, subjects: int, alike: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Standard normal values of images of subjects, whose images correlate."""
    who = np.repeat(np.arange(subjects), REPEATS)
    return np.sqrt(alike) * rng.normal(size=subjects)[who] + np.sqrt(1 - alike) * rng.normal(size=len(who)), who


def _agreement(subjects: int, alike: float) -> Draw:
    limit = float(norm.ppf(0.975))

    def draw(rng: np.random.Generator) -> Iterator[tuple[str, Interval, float]]:
        difference, who = _images(rng, subjects, alike)
        size = 10 + 2 * _images(rng, subjects, 0.8)[0]
        found = bland_altman_repeated(size + difference / 2, size - difference / 2, who)
        yield "Bland-Altman: bias", found.bias_interval, 0.0
        yield "Bland-Altman: lower limit", found.low_interval, -limit
        yield "Bland-Altman: upper limit", found.high_interval, limit
        yield "Bland-Altman: proportional bias", found.slope_interval, 0.0

    return draw


def _share(subjects: int, alike: float) -> Draw:
    def draw(rng: np.random.Generator) -> Iterator[tuple[str, Interval, float]]:
        for share in (0.9, 0.5):
            values, who = _images(rng, subjects, alike)
            yield f"share of {share} (coverage)", _ends(clustered_share(values < norm.ppf(share), who)), share

    return draw


def _auroc(subjects: int, alike: float) -> Draw:
    def draw(rng: np.random.Generator) -> Iterator[tuple[str, Interval, float]]:
        for area in (0.8, 0.95):
            values, who = _images(rng, subjects, alike)
            shift = 2**0.5 * float(norm.ppf(area))
            for name, positive in (("a subject", who % 2), ("an image", rng.permutation(len(who)) % 2)):
                yield (
                    f"AUROC {area}, class of {name}",
                    _ends(clustered_auroc(values + shift * positive, positive, who)),
                    area,
                )

    return draw


def _calibration(subjects: int, alike: float) -> Draw:
    def draw(rng: np.random.Generator) -> Iterator[tuple[str, Interval, float]]:
        for error in (0.0, 0.1):
            values, who = _images(rng, subjects, alike)
            confidence = rng.uniform(0.6, 0.99, len(who))
            correct = norm.cdf(values) < confidence - error
            yield f"calibration error {error}", _ends(clustered_calibration(confidence, correct, who)), error

    return draw


def _ends(found: Clustered) -> Interval:
    return found.low, found.high
