"""The fetal brain thesis's Tables 4.1 to 4.4 and A.1 on the unseen site, our numbers and the printed ones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from ushydra_lab.files import write_csv
from ushydra_lab.metrics.overlap import pooled
from ushydra_lab.report.document import Document, Gap, Heading, Table
from ushydra_lab.report.missing import command, gap_list, splits_to_run
from ushydra_lab.report.papers.declared import experiments_of
from ushydra_lab.report.papers.thesis.printed import (
    CAPTIONS,
    PRINTED_4_1,
    PRINTED_4_2,
    PRINTED_4_3,
    PRINTED_A_1,
    SPREAD,
    TITLES,
)
from ushydra_lab.report.sections.segmentation import counts_in, structures_in
from ushydra_lab.report.tables import count_cell, mean_cell, methods_in, spread_cell, with_printed
from ushydra_lab.results.collect import Collected

CSP_ONLY = "brain_csp_only"
THESIS = "thesis"
FULL = {"parenchyma", "csp", "lv"}
"""What the thesis's model segments."""
NAMES = {"background": "Background", "parenchyma": "Brain parenchyma", "csp": "CSP", "lv": "LV"}
SCORES = {"iou": "IoU", "dice": "Dice", "precision": "Precision", "recall": "Recall"}
MICRO = {score: f"{title} (micro)" for score, title in SCORES.items()}
MEANS = {
    "miou": "mIoU",
    "miou_foreground": "mIoU without background",
    "small": "mIoU of CSP and LV",
    "fw_iou": "FWIoU",
}
MODELS = {False: "CSP-only", True: "CSP+LV"}
"""Whether a model segments the LV -> the thesis's name for it."""
POLICIES = {"all, absent from both: 1": 1.0, "all, absent from both: 0": 0.0, "those that show it": np.nan}
"""Which images are averaged over -> the score of an image with the structure in neither map."""
FEATURES = (
    ("found_px", "area (px)", 0),
    ("true_px", "reference area (px)", 0),
    ("found_mm2", "area (mm²)", 1),
    ("eccentricity", "eccentricity", 2),
    *((f"{axis}_{unit}", f"{axis} ({unit})", 1) for unit in ("mm", "px") for axis in "xy"),
    ("shape", "shape", 2),
)
"""Column, title and digits of Table 4.4."""
EXAMPLES = 4
"""Images in Table 4.4, as in print."""


def section(collected: Collected, folder: Path) -> Document:
    """The tables for every held-out site and what is missing from them; written as CSV into `folder` too."""
    blocks: Document = [Heading("The fetal brain thesis's tables", 2)]
    test = collected.images[(collected.images["part"] == "test") & collected.images["hits_csp"].notna()]
    for held_out, images in test.groupby("held_out", sort=False):
        for number, rows, caption in _tables(images):
            write_csv(folder / f"thesis_table{number.replace('.', '_')}_{held_out}.csv", rows)
            title = f"Table {number}: {TITLES[number]}, held out {held_out}"
            blocks += [Heading(title, 3), Table(rows, caption)]
    return blocks + gap_list(_gaps(collected, folder.parent))


def _tables(images: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, str]]:
    """Number, rows and caption of each table that these images have something for."""
    private = " Thesis: other images than ours."
    yield "4.1", classes_table(images), SPREAD + CAPTIONS["4.1"] + private
    yield "4.2", means_table(images), SPREAD + CAPTIONS["4.2"] + private
    if set(_models(images).values()) == set(MODELS.values()):
        yield "4.3", models_table(images), SPREAD + CAPTIONS["4.3"] + private
    method = next((name for name, _, full in _of_methods(images) if full), methods_in(images)[0])
    yield (
        "4.4",
        examples_table(images[images["method"] == method]),
        CAPTIONS["4.4"].format(method=method, count=EXAMPLES),
    )
    yield "A.1", per_image_table(images), SPREAD + CAPTIONS["A.1"] + private


def micro_scores(images: pd.DataFrame) -> pd.DataFrame:
    """Scores over all pixels of one method's images, one row per seed: MEANS, and SCORES of each class (`iou_csp`)."""
    names, rows = _structures(images), []
    for seed, own in images.groupby("seed"):
        found = pooled(counts_in(own, names))
        found["dice"] = found.pop("f1")
        row = {f"{score}_{name}": float(found[score][i]) for score in SCORES for i, name in enumerate(_classes(names))}
        row |= {name: float(found[name]) for name in MEANS if name in found}
        rows.append({"seed": seed, "small": (row["iou_csp"] + row.get("iou_lv", np.nan)) / 2} | row)
    return pd.DataFrame(rows)


def classes_table(images: pd.DataFrame) -> pd.DataFrame:
    """Table 4.1: one row per method and class."""
    rows = []
    for method, own, full in _of_methods(images):
        found = micro_scores(own)
        for name in _classes(_structures(own)):
            cells = _cells(found, {f"{score}_{name}": title for score, title in MICRO.items()})
            printed = PRINTED_4_1.get(name) if full else None
            rows.append(
                {"Method": method, "Class": _named(name)}
                | with_printed(cells, printed, THESIS)
                | {"n": count_cell(own)}
            )
    return pd.DataFrame(rows)


def means_table(images: pd.DataFrame) -> pd.DataFrame:
    """Table 4.2: one row per method."""
    return pd.DataFrame(
        [
            {"Method": method}
            | with_printed(_cells(micro_scores(own), MEANS), PRINTED_4_2 if full else None, THESIS)
            | {"n": count_cell(own)}
            for method, own, full in _of_methods(images)
        ]
    )


def models_table(images: pd.DataFrame) -> pd.DataFrame:
    """Table 4.3: one row per class and method that segments it."""
    models, rows = _models(images), []
    for name, printed in PRINTED_4_3.items():
        for method, own, _ in _of_methods(images):
            if name in _classes(_structures(own)):
                cells = _cells(micro_scores(own), {f"{score}_{name}": MICRO[score] for score in ("dice", "iou")})
                row = {"Structure": _named(name), "Model": models[method], "Method": method}
                rows.append(row | with_printed(cells, printed.get(models[method]), THESIS) | {"n": count_cell(own)})
    return pd.DataFrame(rows)


def examples_table(images: pd.DataFrame) -> pd.DataFrame:
    """Table 4.4: one row per image of the first seed that shows CSP or LV, named by its record number alone."""
    names = _structures(images)
    showing = (images[[f"true_px_{name}" for name in names if name != "parenchyma"]] > 0).any(axis=1)
    shown = images[showing & (images["seed"] == images["seed"].min())].sort_values("record").head(EXAMPLES)
    columns = {"Image": shown["record"].astype(str)}
    for name in sorted(names, key=lambda name: name == "parenchyma"):
        for column, title, digits in FEATURES:
            if f"{column}_{name}" in shown and not (column in ("x_px", "y_px") and in_mm(shown, name)):
                values = shown[f"{column}_{name}"]
                columns[f"{_named(name)} {title}"] = values.map(partial(mean_cell, sd=np.nan, digits=digits))
    return pd.DataFrame(columns)


def in_mm(images: pd.DataFrame, name: str) -> bool:
    """Whether a structure's place is known in mm."""
    return f"x_mm_{name}" in images and bool(images[f"x_mm_{name}"].notna().any())


def per_image_table(images: pd.DataFrame) -> pd.DataFrame:
    """Table A.1: one row per method, structure and choice of images."""
    rows = []
    for method, own, full in _of_methods(images):
        for name, (policy, empty) in product(_structures(own), POLICIES.items()):
            if name in PRINTED_A_1:
                chosen = per_image(own, name, empty)
                cells = {title: spread_cell(chosen, score, 3) for score, title in SCORES.items()}
                row = {"Method": method, "Class": _named(name), "Images": policy}
                rows.append(
                    row | with_printed(cells, PRINTED_A_1[name] if full else None, THESIS) | {"n": count_cell(chosen)}
                )
    return pd.DataFrame(rows)


def per_image(images: pd.DataFrame, name: str, empty: float) -> pd.DataFrame:
    """seed, record and SCORES of a structure, NaN for what is undefined; of images that show it where `empty` is NaN.

    Otherwise of all: `empty` where the structure is in neither map, 0 where in one alone.
    """
    true, found = images[f"true_px_{name}"], images[f"found_px_{name}"]
    scores = images[[f"{score}_{name}" for score in SCORES]].set_axis(list(SCORES), axis=1)
    if not np.isnan(empty):
        scores = scores.where((true > 0) & (found > 0), 0.0).where((true > 0) | (found > 0), empty)
    table = images[["seed", "record"]].join(scores)
    return table[true > 0] if np.isnan(empty) else table


def _models(images: pd.DataFrame) -> dict[str, str]:
    """Method -> the thesis's name for a model of such structures."""
    return {method: MODELS["lv" in _structures(own)] for method, own, _ in _of_methods(images)}


def _of_methods(images: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, bool]]:
    """Method, its images, and whether it segments what the thesis's model does."""
    for method in methods_in(images):
        own = images[images["method"] == method]
        yield method, own, set(_structures(own)) == FULL


def _structures(images: pd.DataFrame) -> list[str]:
    """In the thesis's order, any others last."""
    order = list(NAMES)
    return sorted(structures_in(images), key=lambda name: order.index(name) if name in NAMES else len(order))


def _classes(structures: list[str]) -> list[str]:
    return ["background", *structures]


def _named(name: str) -> str:
    return NAMES.get(name, name)


def _cells(values: pd.DataFrame, columns: dict[str, str]) -> dict[str, str]:
    """Title -> mean ± SD over the rows."""
    return {title: mean_cell(values[name].mean(), values[name].std(), 3) for name, title in columns.items()}


def _gaps(collected: Collected, experiment: Path) -> list[Gap]:
    """Models and sites that were not run."""
    gaps = splits_to_run(collected, experiment)
    if len(set(_models(collected.images[collected.images["hits_csp"].notna()]).values())) < len(MODELS):
        if CSP_ONLY in experiments_of(collected):
            fill = command(experiment, structures="[csp],[parenchyma,csp,lv]")
        else:
            fill = f"python -m ushydra_lab +experiment={CSP_ONLY}"
        gaps.append(Gap("Table 4.3", "needs a model with the LV and one without it", fill))
    return gaps
