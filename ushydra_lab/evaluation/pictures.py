"""Drawing the pictures of a run, in its folder figures/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure

from ushydra_lab.audit.density import draw_density
from ushydra_lab.audit.landmarks import implausible
from ushydra_lab.config.schema import Experiment
from ushydra_lab.data.canvases import Canvases
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.figures.panels import FIRST_ROW, sample_panel, stage_panel
from ushydra_lab.figures.style import lay_out, tidy
from ushydra_lab.files import atomic
from ushydra_lab.results.metrics import metrics_of
from ushydra_lab.tasks.base import Batch, Task

EXTREMES = {"hardest": 10, "easiest": 4}
"""Images with the worst and with the best answers that are drawn."""
FLAGGED = 6
"""Images with the least plausible landmarks that are drawn."""
SAMPLES = 3
"""Images drawn of each site."""


def draw_panels(
    experiment: Experiment, tasks: dict[str, Task], data: UltrasoundData, folder: Path
) -> dict[str, Figure]:
    """Draw some images of each evaluated part through every stage, as PNG below `folder`; return what may be logged."""
    shareable: dict[str, Figure] = {}
    for part in (part for part in data.parts if part != "train"):
        batch = _examples(next(iter(data.part_loader(part))), experiment.panel_images)
        captions = [f"record {record}" for record in batch["record"].tolist()]
        if figure := _draw(experiment, tasks, batch, folder / "figures" / f"{part}.png", captions):
            shareable[part] = figure
    return shareable


def draw_extremes(
    experiment: Experiment, tasks: dict[str, Task], run: Path, data: UltrasoundData, table: pd.DataFrame
) -> None:
    """The test images with the last stage's worst and best answers by its task's `difficulty`, the extreme one first.

    figures/hardest.png and easiest.png; above each image its record in per_image.csv, and its difficulty.
    """
    stage, task = list(tasks.items())[-1]
    tested = table[(table["stage"] == stage) & (table["part"] == "test")]
    difficulty = task.difficulty(tested).dropna().sort_values() if len(tested) else pd.Series()
    if len(difficulty) < 2:
        return
    shown = metrics_of([str(difficulty.name)])
    score = shown[str(difficulty.name)].label if shown else difficulty.name
    unseen = _images(data, "test")
    place = {record: row for row, record in enumerate(unseen.fields["record"][unseen.rows].tolist())}
    for name, ordered in (("hardest", difficulty[::-1]), ("easiest", difficulty)):
        chosen = ordered[: min(EXTREMES[name], len(ordered) // 2)]
        records = tested.loc[chosen.index, "record"].tolist()
        captions = [f"record {record}: {score} {value:.4f}" for record, value in zip(records, chosen, strict=True)]
        batch = unseen.__getitems__([place[record] for record in records])
        _draw(experiment, tasks, batch, run / "figures" / f"{name}.png", captions)


def draw_sites(experiment: Experiment, tasks: dict[str, Task], run: Path, data: UltrasoundData) -> None:
    """Draw some images of each site as the networks see them, with their annotations: figures/sites.png."""
    chosen: dict[str, list[Batch]] = {site: [] for site in data.manifest.sites}
    for images in (_images(data, part) for part in data.parts):
        for row, site in enumerate(images.fields["site"][images.rows].tolist()):
            if len(of_site := chosen[data.manifest.sites[site]]) < SAMPLES:
                of_site.append(images.__getitems__([row]))
    rows = [[("" if k else site, one) for k, one in enumerate(shown)] for site, shown in chosen.items() if shown]
    _draw_known(experiment, tasks, rows, run / "figures" / "sites.png")


def draw_landmarks(experiment: Experiment, tasks: dict[str, Task], run: Path, data: UltrasoundData) -> None:
    """Draw where in the frame the required landmarks lie, site by site: figures/density.png.

    And the training images on which they are least plausible, with the reasons: figures/flagged.png. What a label audit
    left out is not among them.
    """
    table, trained = data.manifest.table, _images(data, "train")
    for annotation in (annotation for annotation in data.requires if annotation.kind == "points"):
        if figure := draw_density(table, annotation):
            _save(figure, run / "figures" / "density.png")
        reasons = implausible(table.iloc[trained.fields["record"][trained.rows].numpy()], annotation)
        worst = [("\n".join(why), trained.__getitems__([row])) for row, why in list(reasons.items())[:FLAGGED]]
        if worst:
            rows = [worst[start : start + SAMPLES] for start in range(0, len(worst), SAMPLES)]
            _draw_known(experiment, tasks, rows, run / "figures" / "flagged.png")


def _draw_known(
    experiment: Experiment, tasks: dict[str, Task], rows: list[list[tuple[str, Batch]]], file: Path
) -> None:
    """Images (batches of one) below their captions, with their box and the truth that the last stage's task knows."""
    task = list(tasks.values())[-1]
    metrics_of = [
        [
            (caption, one["image"][0, 0].numpy(), _boxes(experiment, one), _arrays(task.truth(one)))
            for caption, one in row
        ]
        for row in rows
    ]
    _save(sample_panel(metrics_of, _structures(experiment)), file)


def _draw(
    experiment: Experiment, tasks: dict[str, Task], batch: Batch, file: Path, captions: list[str]
) -> Figure | None:
    """Images through every stage, each below its caption, as PNG; what of it may leave the run.

    That is all of images declared free of burnt-in names (`deidentified`), else the ROI alone, which is then drawn
    apart as well (FILE_roi.png).
    """
    pictures: dict[str, Any] = {}
    with torch.inference_mode():
        for stage, task in tasks.items():
            pictures = {**task.truth(batch), **pictures}
            pictures |= {f"{stage}: {name}": values for name, values in task.pictures(batch).items()}
    shown = batch["image"][:, 0].numpy(), _boxes(experiment, batch), _arrays(pictures), _structures(experiment)
    whole = stage_panel(*shown, captions=captions)
    _save(whole, file)
    if experiment.deidentified is True:
        return whole
    if not experiment.main_roi:
        return None
    region = stage_panel(*shown, roi_only=True, captions=captions)
    _save(region, file.with_stem(f"{file.stem}_roi"))
    return region


def _images(data: UltrasoundData, part: str) -> Canvases:
    images = data.part_loader(part).dataset
    assert isinstance(images, Canvases)
    return images


def _boxes(experiment: Experiment, batch: Batch) -> Any:
    return batch[experiment.main_roi].numpy() if experiment.main_roi else None


def _arrays(pictures: dict[str, Any]) -> dict[str, Any]:
    return {name: values.numpy() for name, values in pictures.items()}


def _structures(experiment: Experiment) -> list[str]:
    return [text.partition("=")[0] for text in experiment.structures or ()]


def _save(figure: Figure, file: Path) -> None:
    """Write a PNG that tells, under the name FIRST_ROW, where its first image ends, in parts of the height."""
    tidy(figure)
    lay_out(figure)
    ends = [f"{1 - axis.get_position().y0:.4f}" for axis in figure.axes if axis.get_gid() == FIRST_ROW]
    with atomic(file) as temporary:
        figure.savefig(temporary, format="png", dpi=110, metadata=dict(zip([FIRST_ROW], ends, strict=False)))


def _examples(batch: Batch, count: int) -> Batch:
    """The first images of a batch; where there are masks, of those that show most labels."""
    labels = [len(mask.unique()) for mask in batch["mask"]] if "mask" in batch else [0] * len(batch["image"])
    chosen = sorted(range(len(labels)), key=lambda index: -labels[index])[:count]
    return {key: values[chosen] for key, values in batch.items()}
