"""Intervals around measured lengths for images of the training sites and for a new hospital, beside what they cover."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ushydra_lab.files import write_csv
from ushydra_lab.report.document import Document, Heading, Note, Table
from ushydra_lab.report.tables import mean_cell, range_cell
from ushydra_lab.results.collect import Collected
from ushydra_lab.results.exchangeability import exchangeability
from ushydra_lab.results.intervals import MEASURES, Calibration, Interval, Validity, calibration, stage_images
from ushydra_lab.runs.run import Run

TITLE = "Intervals for the training sites and for a new hospital"
CAPTION = (
    "90 % intervals: a measured length ∓ the half-width. For images of the training sites: conformal, by "
    "validation images. For a new hospital: hierarchical conformal (Lee, Barber and Willett 2023), by the errors at "
    "each training site of a network trained on the others alone; sites have one weight, the unseen sites none. "
    "Covered: share of images of an unseen site, mean over unseen sites and the least; sites and images are those that "
    "calibrate. p: permutation test, subjects as units, of exchangeable errors: of validation images and each unseen "
    "site, or of the training sites left out. Where it is small, errors differ between sites, and intervals for the "
    "training sites promise nothing elsewhere; those for a new hospital ask only that it be like the training sites as "
    "they are like each other. Mean ± SD over runs; of p over several runs twice the median (Rüger 1978)."
)
KEYS = ["method", "length", "for images of"]


def section(collected: Collected, folder: Path) -> Document:
    """A table for each held-out site, or sites, and why it has no interval for a new hospital, if so."""
    blocks: Document = []
    if "ofd_percent_error" not in collected.images:
        return blocks
    runs = [*collected.stages["run"].unique(), *collected.inner]
    for held_out, stages in collected.stages.groupby("held_out", sort=False):
        rows, reasons = _of_runs(stages, runs)
        if len(rows):
            write_csv(folder / f"{held_out}_new_hospital.csv", rows)
            blocks += [Heading(f"{TITLE}, held out {held_out}", 3), Table(_cells(rows), CAPTION)]
            blocks += [
                Note(f"No interval for a new hospital of {', '.join(of)}: {why}.") for why, of in reasons.items()
            ]
    return blocks


def _of_runs(stages: pd.DataFrame, runs: list[Run]) -> tuple[pd.DataFrame, dict[str, dict[str, None]]]:
    """The rows of every run's stages, and why some methods have no interval for a new hospital: reason -> methods."""
    rows: list[dict[str, Any]] = []
    reasons: dict[str, dict[str, None]] = {}
    for stage in stages.drop_duplicates(["method", "seed", "fold"]).to_dict("records"):
        known = calibration(stage["run"], stage["stage"], runs)
        tested = stage_images(stage["run"], stage["stage"]).query("part == 'test'")
        if known.training & set(tested["site"]):  # subjects are held out, and no site is new
            continue
        rows += [{"method": stage["method"], "seed": stage["seed"]} | row for row in _rows(known, tested)]
        if why := known.shortage():
            reasons.setdefault(why, {})[stage["method"]] = None
    return pd.DataFrame(rows), reasons


def _rows(known: Calibration, tested: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """One row per length and validity, none of a new hospital where too few sites calibrate."""
    for measure in MEASURES:
        column = f"{measure}_abs_error_{known.unit}"
        unseen = tested.assign(error=tested[column]).dropna(subset=["error"])
        for validity in Validity:
            calibrating, interval = known.errors(measure, validity), known.interval(measure, validity)
            if interval is None and validity is Validity.NEW_HOSPITAL:
                continue
            if validity is Validity.TRAINING_SITES:
                compared = pd.concat([calibrating.assign(site="", subject=_people(calibrating)), unseen])
            else:
                compared = calibrating
            yield {
                "length": measure.upper(),
                "for images of": validity.value,
                "sites": calibrating["site"].nunique(),
                "images": len(calibrating),
                **_covered(interval, unseen, known.unit),
                "p": exchangeability(compared["error"], compared["site"], compared["subject"]),
            }


def _people(images: pd.DataFrame) -> pd.Series:
    """A name for each subject that no subject of another site has."""
    return images["site"] + "\0" + images["subject"].astype(str)


def _covered(interval: Interval | None, unseen: pd.DataFrame, unit: str) -> dict[str, float]:
    half = interval.half_width if interval else np.nan
    shares = (unseen["error"] <= half).groupby(unseen["site"]).mean() if interval else pd.Series(dtype=float)
    return {f"half-width ({unit})": half, "covered": shares.mean(), "covered, least site": shares.min()}


def _cells(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per method, length and validity, over its runs."""
    found = []
    for keys, chosen in rows.groupby(KEYS, sort=False):
        cells = dict(zip(KEYS, map(str, keys), strict=True))
        for column in chosen.columns.difference(["seed", "p", *KEYS], sort=False):
            if column in ("sites", "images"):
                cells[column] = range_cell(chosen[column])
            else:
                cells[column] = mean_cell(chosen[column].mean(), chosen[column].std(ddof=1), 3)
        p = np.minimum(1, chosen["p"].median() * (2 if len(chosen) > 1 else 1))
        found.append(cells | {"p": "n/a" if np.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"})
    return pd.DataFrame(found)
