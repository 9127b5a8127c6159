"""Intervals in mm around measured lengths: for a new hospital where the runs have one, else for their training sites.

An image to be predicted may come from anywhere, so that the interval for a new hospital goes before
(`results.intervals`). The validation images of one run have trained others with another split: errors of an ensemble
cannot be calibrated by them, and it takes the widest of its members' intervals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ushydra_lab.prediction.systems.base import Cells
from ushydra_lab.results.intervals import MEASURES, Calibration, Interval, Validity, calibration
from ushydra_lab.runs.run import Run


def intervals(runs: Iterable[Run]) -> dict[str, Interval]:
    """Measure -> its interval, of those lengths in mm that every run has one for.

    Raises:
        DamagedFile: a file of a run, or of a sibling that calibrates it, is not as it was written.
    """
    known = [calibration(run, list(run.summary.stages)[-1], run.siblings) for run in runs]
    if any(one.unit != "mm" for one in known):
        return {}
    found = {measure: _widest(known, measure) for measure in MEASURES}
    return {measure: interval for measure, interval in found.items() if interval is not None}


def _widest(known: Iterable[Calibration], measure: str) -> Interval | None:
    for validity in (Validity.NEW_HOSPITAL, Validity.TRAINING_SITES):
        each = [one.interval(measure, validity) for one in known]
        common = [interval for interval in each if interval is not None]
        if len(common) == len(each):
            return max(common, key=lambda interval: interval.half_width)
    return None


def told(interval: Interval) -> dict[str, Any]:
    """An interval for predict.json: what it holds of which images, and what calibrated it."""
    return {
        "half_width_mm": interval.half_width,
        "coverage": 1 - interval.alpha,
        "of_images_of": interval.validity.value,
        "method": interval.method,
        "calibrating_images": interval.images,
        "calibrating_sites": interval.sites,
    }


def bounds(known: Mapping[str, Interval], cells: Cells) -> Cells:
    """`MEASURE_mm_low` (at least 0) and `_high` of a row's lengths; None where there is no length in mm."""
    found: Cells = {}
    for measure, interval in known.items():
        length, half = cells[f"{measure}_mm"], interval.half_width
        low, high = (None, None) if length is None else (max(length - half, 0.0), length + half)
        found |= {f"{measure}_mm_low": low, f"{measure}_mm_high": high}
    return found


def too_wide(known: Mapping[str, Interval], cells: Cells) -> bool:
    """Whether the interval of a length in mm reaches down to 0: all that it says is that something was measured."""
    lengths = {measure: cells[f"{measure}_mm"] for measure in known}
    return any(length is not None and known[measure].half_width >= length for measure, length in lengths.items())
