"""Whether probabilities of planes can be believed: Brier score, calibration error, reliability diagram of each site."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ushydra_lab.figures.style import colours_of
from ushydra_lab.files import write_csv
from ushydra_lab.report.document import Document, Heading, Table, save_figure
from ushydra_lab.report.intervals import ONE_SEED, interval_cell, numbers
from ushydra_lab.report.tables import methods_in, range_cell
from ushydra_lab.results.clustered import clustered_calibration, clustered_mean
from ushydra_lab.results.reliability import reliability_curve
from ushydra_lab.tasks.columns import members

TITLE = "Probabilities of planes"
CAPTION = (
    "Brier score: sum over planes of the squared difference of probability and truth, 0 to 2. Calibration error: how "
    "far the probability of the predicted plane and accuracy are apart, over ten bins of equally many images; biased "
    f"upwards where there are few; no interval where a bin holds a single subject. {ONE_SEED}."
)
DIAGRAM = "Reliability diagram"
DIAGRAM_CAPTION = (
    "Accuracy over the probability of the predicted plane, tenths of a site's images by that probability, all seeds "
    "together; bars: 95 % intervals, subjects as units. On the dotted line probabilities are right, below it the "
    "network is too sure."
)


def section(images: pd.DataFrame, file: Path) -> Document:
    """A table and a figure of classified images whose true plane is known."""
    found = calibration(images)
    write_csv(file.with_name(f"{file.name}_plane_calibration.csv"), found)
    picture = save_figure(draw(images), file.with_name(f"{file.name}_reliability"), DIAGRAM, DIAGRAM_CAPTION)
    return [Heading(TITLE, 4), Table(calibration_table(found), CAPTION), picture]


def calibration(images: pd.DataFrame) -> pd.DataFrame:
    """One row per method, site and seed: `brier` and `calibration`, each with _low and _high, images, subjects."""
    rows: list[dict[str, Any]] = []
    for method in methods_in(images):
        for (site, seed), own in images[images["method"] == method].groupby(["site", "seed"]):
            who = {"method": method, "site": site, "seed": seed, "images": len(own)}
            error = clustered_calibration(*confidence(own), own["subject"])
            score = clustered_mean(brier(own), own["subject"])
            possible = replace(score, low=max(score.low, 0.0), high=min(score.high, 2.0))
            scores = numbers("brier", possible) | numbers("calibration", error)
            rows.append(who | {"subjects": own["subject"].nunique()} | scores)
    return pd.DataFrame(rows)


def probabilities(images: pd.DataFrame) -> NDArray[np.float64]:
    """Of each image and plane."""
    return images[[f"prob_{plane}" for plane in members(images, "prob")]].to_numpy(float)


def confidence(images: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Probability of each image's predicted plane, and whether that is the true one."""
    return probabilities(images).max(1), (images["predicted"] == images["true"]).to_numpy()


def brier(images: pd.DataFrame) -> NDArray[np.float64]:
    """Brier score of each image (G. W. Brier, Mon. Weather Rev. 78, 1950)."""
    chances = probabilities(images)
    truth = np.eye(chances.shape[1])[images["true"].to_numpy(int)]
    return np.asarray(((chances - truth) ** 2).sum(1))


def calibration_table(found: pd.DataFrame) -> pd.DataFrame:
    """The scores as shown: one row per method and site."""
    rows = [
        {"method": method, "site": site}
        | {"Brier score ↓": interval_cell(own, "brier"), "calibration error ↓": interval_cell(own, "calibration")}
        | {what: range_cell(own[what]) for what in ("images", "subjects")}
        for (method, site), own in found.groupby(["method", "site"], sort=False)
    ]
    return pd.DataFrame(rows)


def draw(images: pd.DataFrame) -> Figure:
    """Draw reliability diagrams: a panel per site, a colour per method."""
    sites, colours = sorted(images["site"].unique()), colours_of(methods_in(images))
    figure = Figure(figsize=(3.4 * len(sites) + 1.6, 3.4), layout="constrained")
    for site, axis in zip(sites, figure.subplots(1, len(sites), sharey=True, squeeze=False)[0], strict=True):
        axis.plot([0, 1], [0, 1], ":", color="grey", linewidth=1)
        for method, colour in colours.items():
            _line(axis, images[(images["site"] == site) & (images["method"] == method)], method, colour)
        axis.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel="probability of the predicted plane")
        axis.set_title(site, fontsize=9, parse_math=False)
        axis.grid(alpha=0.3)
    figure.axes[0].set_ylabel("accuracy")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize=7)
    return figure


def _line(axis: Axes, images: pd.DataFrame, method: str, colour: str) -> None:
    curve = reliability_curve(*confidence(images), images["subject"])
    axis.plot(curve["confidence"], curve["accuracy"], "-o", color=colour, markersize=3, linewidth=1, label=method)
    axis.vlines(curve["confidence"], curve["low"], curve["high"], color=colour, linewidth=0.8, alpha=0.6)
