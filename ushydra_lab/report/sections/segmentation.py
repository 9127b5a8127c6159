"""System 4's tables and figures: pooled scores of each structure, and areas (thesis 4, sections 3.7, 4.6)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ushydra_lab.figures.style import COLOURS
from ushydra_lab.files import write_csv
from ushydra_lab.metrics.overlap import Counts, pooled, presence, three_dice
from ushydra_lab.report.document import Document, Heading, Table, save_figure
from ushydra_lab.report.tables import mean_cell, methods_in, range_cell, spread_cell
from ushydra_lab.tasks.columns import TOLERANCE_MM, TOLERANCE_PX, members

PREDICTED = COLOURS[5]
LEGEND = [Patch(color=PREDICTED, label="predicted"), Patch(facecolor="none", edgecolor="black", label="reference")]
OF_STRUCTURES = {
    "dice_micro": "Dice (micro)",
    "dice_macro": "Dice",
    "dice_per_image": "Dice (all images)",
    "iou": "IoU (micro)",
    "precision": "precision (micro)",
    "recall": "recall (micro)",
    "sensitivity": "presence sensitivity",
    "specificity": "presence specificity",
}
OF_ALL = {
    "fw_iou": "FWIoU",
    "miou": "mIoU",
    "miou_foreground": "mIoU without background",
    "pixel_accuracy": "pixel accuracy",
}
SCORES_CAPTION = (
    "Mean ± SD over seeds (ddof 1); higher is better. Micro: of the pixels of all images together; Dice (micro) is F1. "
    "Of those pixels, too: IoU weighted by frequency (FWIoU) or averaged over the method's classes (mIoU), and pixel "
    "accuracy. Dice: mean over the images that show the structure. Dice (all images): mean over all images, 1 where "
    "neither reference label nor prediction shows the structure, 0 where one of them does. Presence: of images; "
    "predicted where more than 5 px are."
)
IMAGES_CAPTION = (
    "Images of a seed behind each score, least to most over seeds. Dice is over the images whose reference label shows "
    "the structure. Not found: those of them in which no pixel of it is predicted, and their share; Dice counts them "
    "as 0, ASSD leaves them out. The other scores use all images."
)
SURFACES_CAPTION = (
    "Mean ± SD over seeds (ddof 1) over images whose reference label shows the structure. NSD: share of both outlines "
    f"that is within {TOLERANCE_MM:g} mm ({TOLERANCE_PX:g} px of the canvas where not all images have a spacing) of "
    "the other; a missed structure has 0. That tolerance is a round figure: it should be what two experts' outlines "
    "differ by. HD95: 95th percentile of the distance between the outlines; missed structures are left out."
)
AREAS_CAPTION = "Images per seed with each area above 0; absent: images per seed without the structure."


def section(images: pd.DataFrame, file: Path) -> Document:
    """Tables and figures for the images of one part; the names of the files begin with that of `file`.

    Nothing for images without a segmentation's columns.
    """
    return [*_scores(images, file), *_areas(images, file)]


def structures_in(images: pd.DataFrame) -> list[str]:
    """The structures that were segmented in some of these images."""
    return [name for name in members(images, "hits") if name != "background" and images[f"hits_{name}"].notna().any()]


def counts_in(images: pd.DataFrame, structures: list[str]) -> Counts:
    """Counts of pixels of the background and each structure, (images, K)."""
    both, true = (
        images[[f"{kind}_{name}" for name in ("background", *structures)]].to_numpy(float)
        for kind in ("hits", "true_px")
    )
    found = images[[f"found_px_{name}" for name in structures]].to_numpy(float)
    rest = true.sum(1) - found.sum(1)  # every pixel that counts is predicted to be something
    return Counts(both, true, np.column_stack([rest, found]))


def scores(images: pd.DataFrame) -> pd.DataFrame:
    """Scores of one part's images: columns method, seed, structure ('' for all classes together), score, value."""
    rows = []
    for method in methods_in(images):
        for seed, chosen in images[images["method"] == method].groupby("seed"):
            for structure, score, value in _scores_of(chosen):
                who = {"method": method, "seed": seed, "structure": structure}
                rows.append(who | {"score": score, "value": value})
    return pd.DataFrame(rows)


def _scores_of(images: pd.DataFrame) -> Iterator[tuple[str, str, float]]:
    structures = structures_in(images)
    if not structures:
        return
    counts = counts_in(images, structures)
    found = pooled(counts) | three_dice(counts) | presence(counts)
    for label, structure in enumerate(structures, 1):
        for score in OF_STRUCTURES:
            yield structure, score, float(found[score][label])
    for score in OF_ALL:
        yield "", score, float(found[score])


def scores_table(scored: pd.DataFrame, titles: dict[str, str]) -> pd.DataFrame:
    """The scores as shown: one row per structure and method, one column per score in `titles`."""
    spread = scored.groupby(["structure", "method", "score"], sort=False)["value"].agg(["mean", "std"])
    cells = spread.apply(lambda row: mean_cell(row["mean"], row["std"], 3), axis=1).rename("cell").reset_index()
    order = [(s, m) for s in dict.fromkeys(scored["structure"]) for m in dict.fromkeys(scored["method"])]
    wide = cells.pivot(index=["structure", "method"], columns="score", values="cell").reindex(order)[list(titles)]
    table = wide.dropna().rename(columns=titles).rename_axis(columns=None).reset_index()
    return table if table["structure"].any() else table.drop(columns="structure")


def _scores(images: pd.DataFrame, file: Path) -> Document:
    found = scores(images)
    if found.empty:
        return []
    write_csv(file.with_name(f"{file.name}_segmentation.csv"), found)
    behind = images_table(images)
    write_csv(file.with_name(f"{file.name}_segmentation_images.csv"), behind)
    of_structures, of_all = (scores_table(found, titles) for titles in (OF_STRUCTURES, OF_ALL))
    shown = [Table(behind, IMAGES_CAPTION), Table(of_structures), Table(of_all, SCORES_CAPTION)]
    return [Heading("Segmentation", 4), *shown, *_surfaces(images, file)]


def _surfaces(images: pd.DataFrame, file: Path) -> Document:
    table = surfaces_table(images)
    if len(table.columns) < 3:
        return []
    write_csv(file.with_name(f"{file.name}_surfaces.csv"), table)
    return [Table(table, SURFACES_CAPTION)]


def surfaces_table(images: pd.DataFrame) -> pd.DataFrame:
    """NSD and HD95 of each structure and method, as far as runs have them; in mm where all images have a spacing."""
    rows = []
    for name in structures_in(images):
        for method in methods_in(images[images[f"found_px_{name}"].notna()]):
            own = images[images["method"] == method]
            cells = {"structure": name, "method": method}
            for column, title, digits in (("nsd", "NSD {} ↑", 3), ("hd95", "HD95 ({}) ↓", 2)):
                unit = _unit(own, column, name)
                if f"{column}_{unit}_{name}" in own:
                    within = f"{TOLERANCE_MM:g} mm" if unit == "mm" else f"{TOLERANCE_PX:g} px"
                    shown = title.format(within if column == "nsd" else unit)
                    cells[shown] = spread_cell(own, f"{column}_{unit}_{name}", digits)
            rows.append(cells)
    return pd.DataFrame(rows).fillna("n/a")


def _unit(images: pd.DataFrame, column: str, name: str) -> str:
    """mm where every image that has the length in px has it in mm."""
    mm, px = f"{column}_mm_{name}", f"{column}_px_{name}"
    if mm not in images or images[mm].isna().all():
        return "px"
    return "px" if px in images and (images[mm].isna() & images[px].notna()).any() else "mm"


def images_table(images: pd.DataFrame) -> pd.DataFrame:
    """The number of images behind each score, and how often a structure was missed, per structure and method."""
    rows = []
    for name in structures_in(images):
        there, found = images[f"true_px_{name}"] > 0, images[f"found_px_{name}"]
        distances = images.filter([f"assd_mm_{name}", f"assd_px_{name}"]).notna().any(axis=1)
        kinds = pd.DataFrame({"images": found.notna(), "Dice over": there, "not found": there & (found == 0)})
        kinds = kinds.assign(**{"ASSD over": distances}) if distances.any() else kinds
        for method in methods_in(images[found.notna()]):
            of_method = images["method"] == method
            counts = kinds[of_method].groupby(images["seed"]).sum()
            cells = {kind: range_cell(counts[kind]) for kind in kinds}
            share = counts["not found"].sum() / max(counts["Dice over"].sum(), 1)
            cells["not found"] += f" ({100 * share:.1f} %)"
            rows.append({"structure": name, "method": method} | cells)
    return pd.DataFrame(rows).fillna("n/a")


def _areas(images: pd.DataFrame, file: Path) -> Document:
    structures = structures_in(images)
    if not structures:
        return []
    return [save_figure(draw_areas(images, structures), file.with_name(f"{file.name}_areas"), "Areas", AREAS_CAPTION)]


def draw_areas(images: pd.DataFrame, structures: list[str]) -> Figure:
    """Draw histograms of predicted and reference areas: one row per method, one column per structure."""
    methods = methods_in(images)
    figure = Figure(figsize=(3.2 * len(structures), 2.3 * len(methods) + 0.4), layout="constrained")
    axes = figure.subplots(len(methods), len(structures), squeeze=False, sharex="col", sharey="col")
    for structure, column in zip(structures, axes.T, strict=True):
        in_mm = images.get(f"true_mm2_{structure}", pd.Series()).notna().any()
        areas = images[[f"{kind}_{'mm2' if in_mm else 'px'}_{structure}" for kind in ("true", "found")]]
        edges = np.histogram_bin_edges(areas[areas > 0].stack().dropna(), bins=20)
        for method, axis in zip(methods, column, strict=True):
            of_method = images["method"] == method
            _histogram(axis, areas[of_method].dropna(), edges.tolist(), images.loc[of_method, "seed"].nunique())
            axis.set_title(f"{structure}, {method}\n{axis.get_title()}", fontsize=8)
            axis.set_ylabel("images per seed")
        column[-1].set_xlabel(f"area ({'mm²' if in_mm else 'px'})")
    figure.legend(handles=LEGEND, loc="outside lower center", ncols=2, fontsize=8)
    return figure


def _histogram(axis: Axes, areas: pd.DataFrame, edges: list[float], seeds: int) -> None:
    """Draw one panel; areas: true and predicted, 0 where the structure is absent."""
    true, found = areas.to_numpy(float).T
    weights = np.full(len(true), 1 / seeds)
    axis.hist(found, edges, weights=weights, color=PREDICTED)
    axis.hist(true, edges, weights=weights, histtype="step", color="black")
    counts = [f"{(area == 0).sum() / seeds:.3g} {name}" for area, name in ((true, "reference"), (found, "predicted"))]
    axis.set_title(f"absent: {', '.join(counts)}" if len(areas) else "not segmented")
