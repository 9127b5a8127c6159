"""Intervals in mm around measured lengths, calibrated by each run's own validation images.

Split conformal prediction (Vovk, Gammerman, Shafer 2005): the length ∓ the 0.9 quantile of the absolute errors of the
validation images holds the reference of 90 % of the images of the sites that the run was trained on. It says nothing of
another hospital's. The validation images of one run have trained others with another split, so that errors of an
ensemble cannot be calibrated by them: it takes the widest of its members' intervals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite

from ushydra_lab.prediction.systems.base import Cells
from ushydra_lab.results.reliability import conformal_quantile
from ushydra_lab.runs.run import Run

ALPHA = 0.1
MEASURES = ("ofd", "bpd", "hc")
FOR = "images of the sites that the runs were trained on; the widest of the members'"


@dataclass(frozen=True)
class Interval:
    """A measured length ∓ half_width mm; images: how many have calibrated it, of the member with the fewest."""

    half_width: float
    images: int


def intervals(runs: Iterable[Run]) -> dict[str, Interval]:
    """Measure -> its interval, of those lengths in mm that the validation images of every run calibrate.

    Raises:
        DamagedFile: a run's per_image.csv is not as it was written.
    """
    each = [_own(run) for run in runs]
    common = [measure for measure in MEASURES if all(measure in own for own in each)]
    return {
        measure: Interval(max(own[measure].half_width for own in each), min(own[measure].images for own in each))
        for measure in common
    }


def _own(run: Run) -> dict[str, Interval]:
    images = run.images
    seen = images[(images["stage"] == images["stage"].iloc[-1]) & (images["part"] == "val")]
    found = {}
    for measure in MEASURES:
        errors = seen.get(f"{measure}_abs_error_mm", seen["record"][:0]).dropna()
        if isfinite(half := conformal_quantile(errors, ALPHA)):
            found[measure] = Interval(float(half), len(errors))
    return found


def bounds(known: Mapping[str, Interval], cells: Cells) -> Cells:
    """`MEASURE_mm_low` and `_high` of a row's lengths; None where there is no length in mm."""
    found: Cells = {}
    for measure, interval in known.items():
        length = cells[f"{measure}_mm"]
        low, high = (None, None) if length is None else (length - interval.half_width, length + interval.half_width)
        found |= {f"{measure}_mm_low": low, f"{measure}_mm_high": high}
    return found
