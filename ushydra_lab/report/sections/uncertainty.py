"""Evaluation of a landmark network's uncertainty: calibrated intervals and risk-coverage curves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ushydra_lab.figures.style import colours_of
from ushydra_lab.files import write_csv
from ushydra_lab.report.document import Document, Heading, Table, save_figure
from ushydra_lab.report.tables import mean_cell, methods_in, range_cell
from ushydra_lab.results.collect import Collected
from ushydra_lab.results.conformal import conformal_quantile
from ushydra_lab.results.reliability import (
    aurc,
    calibration_table,
    chance_of_coverage,
    conformal_scores,
    coverage,
    risk_coverage,
    uncertainty_correlation,
)

ALPHA = 0.1
MEASURES = ("ofd", "bpd", "hc")
INTERVALS = "90 % intervals"
INTERVALS_CAPTION = (
    "Conformal intervals around each measurement, for an image of a new subject (Lee, Barber and Willett 2023), "
    "calibrated on the validation images of the seen sites, which also selected the checkpoint. "
    "Coverage: share of images whose reference length lies within; in brackets its 95 % "
    "interval, subjects as units (Korn and Graubard 1998), as wide as that of one run. The 90 % are promised only for "
    "sites like those calibrated on. ↓: below 90 % by more than the chance of who was calibrated on and tested "
    "(beta-binomial, one-sided p < 0.05, subjects as units). Weighted: by the spread of an image's own heatmaps. n/a: "
    "fewer validation subjects than any 90 % interval needs (9). Mean ± SD over runs."
)
RISK = "Error of the most certain images"
RISK_CAPTION = (
    "NME by the entropy of the heatmaps: of all images, of the half with the lowest entropy, and the area under the "
    "risk-coverage curve (AURC) beside that of a perfect ranking, by the NME itself; that of a useless one is the NME "
    "of all images. ρ: Spearman's correlation of entropy with NME. Mean ± SD over runs."
)
PERFECT = "perfect ranking"
RISK_CURVES_CAPTION = (
    "Mean NME of the images kept, the most certain first; a line a run. Dotted: the same of a perfect ranking, the "
    "smallest NME first. A useless ranking stays at the mean NME of all images, the right end."
)
UNSHOWN = ("of subjects", "calibration subjects", "coverage low", "coverage high")
COUNTS = ("calibrated on", "images", "subjects")
CALIBRATION = "Error by uncertainty"
BINS_CAPTION = "Mean NME of tenths of a run's images, by their entropy: it rises where the entropy says who errs."


def section(collected: Collected, folder: Path) -> Document:
    """Intervals and risk-coverage tables of every held-out site; empty without measured diameters."""
    if "ofd_percent_error" not in collected.images:
        return []
    blocks: Document = []
    rows = collected.images if "entropy" in collected.images else collected.images.assign(entropy=np.nan)
    for held_out, images in rows.groupby("held_out", sort=False):
        intervals, risks = intervals_table(images), risk_table(images[images["part"] == "test"])
        for table, title, caption, name in (
            (intervals, INTERVALS, INTERVALS_CAPTION, "intervals"),
            (risks, RISK, RISK_CAPTION, "risk"),
        ):
            if len(table):
                write_csv(folder / f"{held_out}_{name}.csv", table)
                blocks += [Heading(f"{title}, held out {held_out}", 3), Table(_cells(table), caption)]
        if len(risks):
            tested = images[images["part"] == "test"]
            blocks.append(save_figure(draw(tested), folder / f"{held_out}_risk_coverage", RISK, RISK_CURVES_CAPTION))
            blocks.append(
                save_figure(draw_calibration(tested), folder / f"{held_out}_calibration", CALIBRATION, BINS_CAPTION)
            )
    return blocks


def _runs(images: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """(method, images of one run), folds joined by their seed."""
    for method in methods_in(images):
        for _, chosen in images[images["method"] == method].groupby("seed"):
            yield method, chosen


def intervals_table(images: pd.DataFrame) -> pd.DataFrame:
    """One row per run, length and kind of interval: its half-width (in `unit`) and its coverage at each tested site.

    `coverage` is of images, its interval from `coverage low` to `coverage high`; `of subjects` the mean over subjects
    of that of their images; `calibration subjects`: of all runs of the method together.

    Every fold's test images have the intervals of that fold's own network and validation images.
    """
    tested, calibrating = images[images["part"] == "test"], images[images["part"] == "val"]
    in_mm = "ofd_abs_error_mm" in images and all(
        part["ofd_abs_error_mm"].notna().any() for part in (tested, calibrating)
    )
    unit = "mm" if in_mm else "px"
    rows = []
    for method, run in _runs(images):
        for measure in MEASURES:
            error, spread = f"{measure}_abs_error_{unit}", f"{measure}_spread_{unit}"
            for kind, scale in (("plain", None), ("weighted", spread)):
                if scale is None or (scale in run and run[scale].notna().any()):
                    who: dict[str, Any] = {"method": method, "length": measure.upper(), "interval": kind}
                    known = calibrating[calibrating["method"] == method].dropna(subset=[error, scale or error])
                    subjects = {"calibration subjects": len(known.drop_duplicates(["site", "subject"]))}
                    rows += [who | row | subjects for row in _covered(run, error, scale, unit)]
    return pd.DataFrame(rows)


def _covered(run: pd.DataFrame, error: str, scale: str | None, unit: str) -> Iterator[dict[str, Any]]:
    """One row per site of one run; `calibrated on` is the smallest number over its folds."""
    folds = [_calibrated(fold, error, scale) for _, fold in run.groupby("fold")]
    least, width = min(count for count, _ in folds), pd.concat([width for _, width in folds])
    for site, chosen in run[run["part"] == "test"].groupby("site"):
        finite = width[chosen.index].where(np.isfinite)  # of infinite ones, too few calibrate
        found = coverage(chosen[error], finite, chosen["subject"])
        inside = (chosen[error] <= width[chosen.index]).where(chosen[error].notna() & width[chosen.index].notna())
        subjects = inside.astype(float).groupby(chosen["subject"]).mean().dropna()
        yield {
            "site": site,
            "calibrated on": least,
            "images": found.n,
            "subjects": len(subjects),
            f"half-width ({unit})": found.half_width,
            "coverage": found.share,
            "coverage low": found.low,
            "coverage high": found.high,
            "of subjects": subjects.mean(),
        }


def _calibrated(fold: pd.DataFrame, error: str, scale: str | None) -> tuple[int, pd.Series]:
    """How many validation images of a fold calibrate, and the half-width of its test images' intervals."""
    known, tested = fold[fold["part"] == "val"], fold[fold["part"] == "test"]
    scores = conformal_scores(known[error], None if scale is None else known[scale])
    times = pd.Series(1.0, tested.index) if scale is None else tested[scale]
    subjects = known.groupby(["site", "subject"]).ngroup()
    return int((~np.isnan(scores)).sum()), conformal_quantile(scores, subjects, ALPHA) * times


def risk_table(images: pd.DataFrame) -> pd.DataFrame:
    """One row per run: NME of all images and of the more certain half, AURC with its bounds, correlation."""
    rows = []
    for method, run in _runs(images):
        if run["entropy"].isna().all():
            continue
        curve, area = risk_coverage(run["nme"], run["entropy"]), aurc(run["nme"], run["entropy"])
        half = float(np.interp(0.5, curve["coverage"], curve["risk"]))
        who = {"method": method, "images": area.n, "NME": area.random, "NME, half": half}
        areas = {"AURC": area.aurc, "AURC, perfect": area.oracle}
        rows.append(who | areas | {"ρ": uncertainty_correlation(run["nme"], run["entropy"]).rho})
    return pd.DataFrame(rows)


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    """Mean ± SD over the runs of a method, one row per method."""
    words = [c for c in table if not pd.api.types.is_numeric_dtype(table[c])]
    rows = []
    for keys, chosen in table.groupby(words, sort=False):
        cells = {
            c: range_cell(chosen[c]) if c in COUNTS else mean_cell(chosen[c].mean(), chosen[c].std(ddof=1), 3)
            for c in table
            if c not in words
        }
        if "coverage" in cells:
            for column in UNSHOWN:
                del cells[column]
            low, high = chosen["coverage low"].mean(), chosen["coverage high"].mean()
            cells["coverage"] += "" if np.isnan(low) else f" [{low:.3f}, {high:.3f}]"
            cells["coverage"] += " ↓" * _falls_short(chosen)
        rows.append(dict(zip(words, map(str, keys), strict=True)) | cells)
    return pd.DataFrame(rows)


def _falls_short(runs: pd.DataFrame) -> bool:
    """Whether fewer subjects of a site are covered than promised, by more than chance."""
    tested, calibrated = int(runs["subjects"].min()), int(runs["calibration subjects"].iloc[0])
    return chance_of_coverage(runs["of subjects"].mean(), tested, calibrated, ALPHA) < 0.05


def draw(images: pd.DataFrame) -> Figure:
    """Draw risk-coverage curves: NME of the most certain images; colours are methods, lines runs, the ideal dotted."""
    figure, axis = _axis()
    for method, run, colour in _certain(images):
        curve = risk_coverage(run["nme"], run["entropy"])
        axis.plot(curve["coverage"], curve["risk"], color=colour, linewidth=1.2, label=method)
        axis.plot(curve["coverage"], curve["oracle"], ":", color=colour, linewidth=0.8)
    axis.plot([], [], ":", color="grey", label=PERFECT)
    _legend(axis)
    axis.set(xlabel="share of images kept, the most certain first", xlim=(0, 1), ylim=(0, None))
    return figure


def draw_calibration(images: pd.DataFrame) -> Figure:
    """Draw mean NME over mean entropy in ten bins of images: a colour per method, a line per run."""
    figure, axis = _axis()
    for method, run, colour in _certain(images):
        bins = calibration_table(run["nme"], run["entropy"])
        axis.plot(bins["uncertainty"], bins["error"], "-o", color=colour, markersize=3, label=method)
    _legend(axis)
    axis.set(xlabel="mean entropy of the heatmaps (nats)", ylim=(0, None))
    return figure


def _certain(images: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, str]]:
    """Of runs with an entropy: method, images, the method's colour."""
    known = [(method, run) for method, run in _runs(images) if run["entropy"].notna().any()]
    colours = colours_of(method for method, _ in known)
    return ((method, run, colours[method]) for method, run in known)


def _axis() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axis = figure.subplots()
    axis.set_ylabel("mean NME")
    axis.grid(alpha=0.3)
    return figure, axis


def _legend(axis: Axes) -> None:
    """Draw the legend beside the axis, each label once."""
    handles, labels = axis.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    axis.legend(once.values(), once.keys(), fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
