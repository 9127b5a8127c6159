"""System 3's tables and figures of planes: scores by scikit-learn's definitions, confusion matrices of every site."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ushydra_lab.files import write_csv
from ushydra_lab.metrics.classification import Codes, classification_scores, confusion_matrix
from ushydra_lab.report.document import Document, Heading, Table, save_figure
from ushydra_lab.report.sections import class_calibration
from ushydra_lab.report.tables import mean_cell, methods_in
from ushydra_lab.tasks.columns import members

SCORES = {
    "accuracy": "accuracy",
    **{
        f"{name}_{mean}": f"{name} {mean}"
        for name in ("precision", "recall", "f1", "auc")
        for mean in ("macro", "weighted")
    },
}
SCORES_CAPTION = (
    "Mean ± SD over seeds (ddof 1); higher is better. Means over the planes that the images show, alike (macro) or by "
    "their images (weighted); AUC: one against the rest."
)
CONFUSION = "Confusion of planes"
CONFUSION_CAPTION = "Images of all seeds by true plane (row) and predicted plane (column); shade: share of the row."


def section(images: pd.DataFrame, file: Path) -> Document:
    """Tables and a figure for the images of one part; empty for images that were not classified."""
    if not planes_in(images):
        return []
    known = classified_images(images)
    if known.empty:
        return []
    found = scores(known)
    write_csv(file.with_name(f"{file.name}_classification.csv"), found)
    picture = save_figure(draw(known), file.with_name(f"{file.name}_confusion"), CONFUSION, CONFUSION_CAPTION)
    tables: Document = [Heading("Planes", 4), Table(scores_table(found), SCORES_CAPTION), picture]
    return tables + class_calibration.section(known, file)


def classified_images(images: pd.DataFrame) -> pd.DataFrame:
    """The images that were classified and whose true plane is known."""
    return images.dropna(subset=["true", "predicted"]).query("true >= 0")


def planes_in(images: pd.DataFrame) -> list[str]:
    """Names of the planes, in the order of their codes."""
    return members(images, "prob")


def scores(images: pd.DataFrame) -> pd.DataFrame:
    """SCORES of each method, site and seed, one row each; also for the site 'all' where there are several."""
    probabilities, rows = [f"prob_{plane}" for plane in planes_in(images)], []
    for method in methods_in(images):
        for seed, chosen in images[images["method"] == method].groupby("seed"):
            sites = dict(tuple(chosen.groupby("site")))
            for site, own in (sites if len(sites) == 1 else {**sites, "all": chosen}).items():
                values = classification_scores(own["true"].astype(int), own[probabilities])
                rows.append({"method": method, "site": site, "seed": seed, **values})
    return pd.DataFrame(rows)


def scores_table(scored: pd.DataFrame) -> pd.DataFrame:
    """The scores as shown: one row per method and site."""
    groups = scored.groupby(["method", "site"], sort=False)[list(SCORES)]
    cells = {key: [mean_cell(*pair, 3) for pair in zip(own.mean(), own.std(), strict=True)] for key, own in groups}
    return pd.DataFrame([[*key, *row] for key, row in cells.items()], columns=["method", "site", *SCORES.values()])


def draw(images: pd.DataFrame) -> Figure:
    """Draw confusion matrices: one row of panels per method, one column per site."""
    planes, methods, sites = planes_in(images), methods_in(images), sorted(images["site"].unique())
    side = 0.42 * len(planes) + 0.5
    figure = Figure(figsize=(side * len(sites) + 2, side * len(methods) + 0.8), layout="constrained")
    axes = figure.subplots(len(methods), len(sites), squeeze=False, sharex=True, sharey=True)
    for method, row in zip(methods, axes, strict=True):
        for site, axis in zip(sites, row, strict=True):
            own = images[(images["method"] == method) & (images["site"] == site)]
            if len(own):
                matrix = confusion_matrix(own["true"].astype(int), own["predicted"].astype(int), len(planes))
                draw_matrix(axis, matrix, planes, planes)
        row[0].set_ylabel(method, fontsize=8)
    for site, axis in zip(sites, axes[0], strict=True):
        axis.set_title(site, fontsize=9, parse_math=False)
    return figure


def draw_matrix(axis: Axes, matrix: Codes, rows: list[str], columns: list[str]) -> None:
    """Draw a confusion matrix: counts, on the share of their row as a grey level."""
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axis.imshow(share, cmap="Greys", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(matrix):
        axis.text(
            j, i, str(count), ha="center", va="center", fontsize=7, color="white" if share[i, j] > 0.5 else "black"
        )
    axis.set_xticks(range(len(columns)), columns, fontsize=7, rotation=90)
    axis.set_yticks(range(len(rows)), rows, fontsize=7)
