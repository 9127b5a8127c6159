"""What a landmark network's own uncertainty is worth, and intervals that keep their promise on like images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ushydra_lab.report.collect import Collected
from ushydra_lab.report.figures import colours_of, save
from ushydra_lab.report.reliability import (
    aurc,
    calibration_table,
    conformal_quantile,
    conformal_scores,
    coverage,
    risk_coverage,
    uncertainty_correlation,
)
from ushydra_lab.report.tables import markdown, methods_in
from ushydra_lab.runs.files import write_csv

ALPHA = 0.1
MEASURES = ("ofd", "bpd", "hc")
INTERVALS = "90 % intervals"
INTERVALS_CAPTION = (
    "Split-conformal intervals around each measurement, calibrated on the validation images of the seen sites, which "
    "also selected the checkpoint; coverage: share of images whose true length lies within, 90 % where images are "
    "exchangeable with those. Weighted: by the spread of an image's own heatmaps. Mean ± SD over runs."
)
RISK = "Error of the most certain images"
RISK_CAPTION = (
    "NME by the entropy of the heatmaps: of all images, of the half with the lowest entropy, and the area under the "
    "risk-coverage curve (AURC) beside that of a perfect and of a useless ranking; ρ: Spearman's correlation of "
    "entropy with NME. Mean ± SD over runs."
)
CALIBRATION = "Error by uncertainty"
BINS_CAPTION = "Mean NME of tenths of a run's images, by their entropy: it rises where the entropy says who errs."


def section(found: Collected, folder: Path) -> list[str]:
    """Intervals and risk-coverage of every held-out site, as Markdown; nothing without measured diameters."""
    if "ofd_percent_error" not in found.images:
        return []
    texts: list[str] = []
    rows = found.images if "entropy" in found.images else found.images.assign(entropy=np.nan)
    for held_out, images in rows.groupby("held_out", sort=False):
        intervals, risks = intervals_table(images), risk_table(images[images["part"] == "test"])
        for table, title, caption, name in (
            (intervals, INTERVALS, INTERVALS_CAPTION, "intervals"),
            (risks, RISK, RISK_CAPTION, "risk"),
        ):
            if len(table):
                write_csv(folder / f"{held_out}_{name}.csv", table)
                texts += [f"### {title}, held out {held_out}\n", markdown(_cells(table)) + "\n", f"{caption}\n"]
        if len(risks):
            tested = images[images["part"] == "test"]
            texts.append(save(draw(tested), folder / f"{held_out}_risk_coverage", RISK, RISK_CAPTION))
            texts.append(save(draw_calibration(tested), folder / f"{held_out}_calibration", CALIBRATION, BINS_CAPTION))
    return texts


def _runs(images: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """(method, images of one run), folds joined by their seed."""
    for method in methods_in(images):
        for _, chosen in images[images["method"] == method].groupby("seed"):
            yield method, chosen


def intervals_table(images: pd.DataFrame) -> pd.DataFrame:
    """One row a run, length and kind of interval: its half-width (in `unit`) and its coverage of each tested site."""
    unit = "mm" if "ofd_abs_error_mm" in images else "px"
    rows = []
    for method, run in _runs(images):
        calibrated, tested = run[run["part"] == "val"], run[run["part"] == "test"]
        for measure in MEASURES:
            for kind in ("plain", "weighted"):
                error, spread = f"{measure}_abs_error_{unit}", f"{measure}_spread_{unit}"
                if kind == "weighted" and (spread not in run or run[spread].isna().all()):
                    continue
                scale = calibrated[spread] if kind == "weighted" else None
                factor = conformal_quantile(conformal_scores(calibrated[error], scale), ALPHA)
                for site, chosen in tested.groupby("site"):
                    width = factor * (chosen[spread] if kind == "weighted" else 1.0)
                    found = coverage(chosen[error], width)
                    who = {"method": method, "length": measure.upper(), "interval": kind, "site": site}
                    size = {f"half-width ({unit})": found.half_width, "coverage": found.share}
                    rows.append(who | {"calibrated on": len(calibrated), "images": found.n} | size)
    return pd.DataFrame(rows)


def risk_table(images: pd.DataFrame) -> pd.DataFrame:
    """One row a run: NME of all images and of the more certain half, AURC with its bounds, correlation."""
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
    """One row for all runs of a method: mean ± SD."""
    words = [c for c in table if not pd.api.types.is_float_dtype(table[c])]
    numbers = [c for c in table if c not in words]
    rows = []
    for keys, chosen in table.groupby(words, sort=False):
        cells = {c: _cell(chosen[c]) for c in numbers}
        rows.append(dict(zip(words, map(str, keys), strict=True)) | cells)
    return pd.DataFrame(rows)


def _cell(values: pd.Series) -> str:
    return f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else "")


def draw(images: pd.DataFrame) -> Figure:
    """Mean NME of the most certain images by their share: a colour a method, a line a run; dotted: a perfect one."""
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axis = figure.subplots()
    colours = colours_of(method for method, run in _runs(images) if run["entropy"].notna().any())
    for method, run in _runs(images):
        if method in colours:
            curve = risk_coverage(run["nme"], run["entropy"])
            axis.plot(curve["coverage"], curve["risk"], color=colours[method], linewidth=1.2, label=method)
            axis.plot(curve["coverage"], curve["oracle"], ":", color=colours[method], linewidth=0.8)
    _legend(axis)
    axis.set(xlabel="share of images kept, the most certain first", ylabel="mean NME", xlim=(0, 1), ylim=(0, None))
    axis.grid(alpha=0.3)
    return figure


def draw_calibration(images: pd.DataFrame) -> Figure:
    """Mean NME over mean entropy of tenths of the images: a colour a method, a line a run."""
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axis = figure.subplots()
    colours = colours_of(method for method, run in _runs(images) if run["entropy"].notna().any())
    for method, run in _runs(images):
        if method in colours:
            bins = calibration_table(run["nme"], run["entropy"])
            axis.plot(bins["uncertainty"], bins["error"], "-o", color=colours[method], markersize=3, label=method)
    _legend(axis)
    axis.set(xlabel="mean entropy of the heatmaps (nats)", ylabel="mean NME", ylim=(0, None))
    axis.grid(alpha=0.3)
    return figure


def _legend(axis: Axes) -> None:
    """Beside the axis, each label once."""
    handles, labels = axis.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    axis.legend(once.values(), once.keys(), fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
