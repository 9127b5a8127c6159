"""What triage does to each site's images and to damaged ones, and what error is left where it refers images away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ushydra_lab.figures.style import colours_of
from ushydra_lab.files import DamagedFile, write_csv
from ushydra_lab.report.document import Document, Gap, Heading, Table, save_figure
from ushydra_lab.results.collect import Collected
from ushydra_lab.results.reliability import risk_coverage
from ushydra_lab.runs.run import Run
from ushydra_lab.runs.triage_files import judged_images, kept

TITLE = "Triage"
CAPTION = (
    "Share of images refused, reviewed and accepted, over all runs, by thresholds from validation images of the "
    "training sites, which never saw the unseen ones. Damaged: copies of some unseen images; all but those upside down "
    "should be refused or reviewed. Refusals are by raw pixels alone, reviews by distance from the training images and "
    "by the answer's own doubt. Error: mean of what is accepted, and of all images."
)
CURVE = "Error by referral rate"
CURVE_CAPTION = (
    "Mean error of the images that are not referred to a person, the most doubtful referred first; a line a run and "
    "unseen site. The dot: where the stored thresholds put it."
)
VALIDATION = "training sites, validation"
AS_IS = "as_is"
STATUSES = {"refuse": "refused", "review": "reviewed", "accept": "accepted"}
ERRORS = {
    "distance_mm": "distance of end points (mm)",
    "distance_px": "distance of end points (px)",
    "nt_abs_drift_mm": "NT drift (mm)",
    "nt_abs_drift_px": "NT drift (px)",
    "wrong": "share of wrong planes",
    "lost_dice": "1 - Dice",
}
"""Error of an image -> its name with unit; the first that is known is told."""


def section(collected: Collected, folder: Path) -> Document:
    """A table and a figure for each held-out site, or sites; nothing where no run has a triage."""
    blocks: Document = []
    for held_out, stages in collected.stages.groupby("held_out", sort=False):
        found, damage = _judged(stages)
        if damage:
            blocks.append(Gap(f"{TITLE}, held out {held_out}", "files are damaged", damage=tuple(damage)))
        if found.empty:
            continue
        table = rates(found)
        write_csv(folder / f"{held_out}_triage.csv", table)
        blocks += [Heading(f"{TITLE}, held out {held_out}", 3), Table(_cells(table), CAPTION)]
        unseen = found[(found["kind"] == AS_IS) & (found["part"] == "test")].dropna(subset=["error"])
        if len(unseen):
            file = folder / f"{held_out}_referral"
            blocks.append(save_figure(draw(unseen), file, f"{CURVE}, held out {held_out}", CURVE_CAPTION))
    return blocks


def _judged(stages: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The judged images of all runs with method, seed, `error` and `measure`; and the faults of damaged files."""
    tables: list[pd.DataFrame] = []
    damage: list[str] = []
    for run, of_run in stages.groupby("run", sort=False):
        assert isinstance(run, Run)
        if not kept(run):
            continue
        try:
            own = _with_errors(run)
        except DamagedFile as fault:
            damage.append(str(fault))
            continue
        tables.append(own.assign(method=of_run["method"].iloc[-1], seed=run.summary.seed, run=run.name))
    return (pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()), damage


def _with_errors(run: Run) -> pd.DataFrame:
    judged, images = judged_images(run), run.images
    last = images[images["stage"] == list(run.summary.stages)[-1]].set_index("record")
    errors = _errors(last)
    measure = next((name for name in ERRORS if name in errors and errors[name].notna().any()), None)
    values = errors[measure] if measure else pd.Series(dtype=float)
    known = judged["record"].map(values).where(judged["kind"] == AS_IS)
    return judged.assign(error=known.astype(float), measure=ERRORS[measure] if measure else "")


def _errors(images: pd.DataFrame) -> pd.DataFrame:
    found = images[[name for name in ERRORS if name in images]]
    dice = images[[name for name in images if str(name).startswith("dice_empty_")]]
    found = found.assign(lost_dice=1 - dice.mean(axis=1)) if len(dice.columns) else found
    return found.assign(wrong=1 - images["correct"]) if "correct" in images else found


def rates(judged: pd.DataFrame) -> pd.DataFrame:
    """A row per method and validation, unseen site or kind of damage: images, three shares, two mean errors."""
    return pd.DataFrame([row for method, own in judged.groupby("method", sort=False) for row in _rates(method, own)])


def _rates(method: Any, judged: pd.DataFrame) -> Iterator[dict[str, Any]]:
    usual = judged[judged["kind"] == AS_IS]
    tested = usual[usual["part"] == "test"]
    groups = [(VALIDATION, usual[usual["part"] == "val"])]
    groups += [(f"unseen: {site}", own) for site, own in tested.groupby("site")]
    groups += [(f"damaged: {kind}", own) for kind, own in judged.groupby("kind", sort=False) if kind != AS_IS]
    for name, own in groups:
        shares = {title: (own["status"] == status).mean() for status, title in STATUSES.items()}
        error = {"error, accepted": own["error"][own["status"] == "accept"].mean(), "error, all": own["error"].mean()}
        what = {"measure": own["measure"].iloc[0]} if len(own) else {"measure": ""}
        yield {"method": method, "of": name, "images": len(own), **shares, **error, **what}


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    shares = {title: table[title].map("{:.1%}".format) for title in STATUSES.values()}
    errors = {
        name: table[name].map(lambda value: "" if np.isnan(value) else f"{value:.3f}")
        for name in ("error, accepted", "error, all")
    }
    return table.assign(images=table["images"].astype(str), **shares, **errors)


def draw(images: pd.DataFrame) -> Figure:
    """Referral curves: colours are sites, lines runs. images: site, run, status, excess, error, measure."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axis = figure.subplots()
    colours = colours_of(sorted(images["site"].unique()))
    for (site, _), own in images.groupby(["site", "run"], sort=True):
        curve = risk_coverage(own["error"], _order(own))
        axis.plot(1 - curve["coverage"], curve["risk"], color=colours[str(site)], linewidth=1.2, label=site)
        accepted = own[own["status"] == "accept"]
        axis.plot(1 - len(accepted) / len(own), accepted["error"].mean(), "o", color=colours[str(site)], markersize=5)
    handles, labels = axis.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    axis.legend(once.values(), once.keys(), fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    axis.set(xlabel="share of images referred", ylabel=f"mean {images['measure'].iloc[0]}", xlim=(0, 1), ylim=(0, None))
    axis.grid(alpha=0.3)
    return figure


def _order(images: pd.DataFrame) -> pd.Series:
    """Doubt by which images are referred: the excess above the thresholds, refused ones before all."""
    finite = images["excess"].clip(-1e9, 1e9)
    return finite.where(images["status"] != "refuse", 2e9)
