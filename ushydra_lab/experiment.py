"""The spine: stages in order, then every stage on the validation and the test images, into one run directory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd
import torch
from matplotlib.figure import Figure

from ushydra_lab.assembly import build_task, build_trainer, load_task, open_logger, rehearse
from ushydra_lab.audit.density import draw_density
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.report.panels import site_panel, stage_panel
from ushydra_lab.runs.directory import RunDirectory, checkpoint_path, job_identity
from ushydra_lab.runs.files import atomic, write_csv
from ushydra_lab.tasks.base import Batch, Task
from ushydra_lab.training import ctrl_c, train_stages

log = logging.getLogger(__name__)
EVALUATED = ("val", "test")
EXTREMES = 6
"""Images with the worst answers that are drawn, and with the best."""
SAMPLES = 3
"""Of each site."""


def run(config: dict[str, Any], path: Path) -> None:
    """Do one job, or what is missing of it.

    Raises:
        Busy: another process is running this job.
        UserError: bad input, a directory that holds other results, a full disk; nothing else is left half-written.
    """
    directory = RunDirectory(path, config)
    with directory.hold():
        directory.refuse_other_config()
        if directory.done:
            with directory.note_refusal():
                directory.refuse_other_data(prepare(config)[1])
            log.info("already finished: %s", path)
            return
        with directory.record() as summary:
            _run(config, path, directory, summary)


def prepare(config: dict[str, Any]) -> tuple[UltrasoundData, str]:
    """A job's images in memory, and its identity.

    Raises:
        UserError: bad input.
    """
    L.seed_everything(config["seed"], workers=True, verbose=False)
    data = rehearse(config)
    data.setup("fit")
    return data, job_identity(config, data.fingerprint(data.parts))


def _run(config: dict[str, Any], path: Path, directory: RunDirectory, summary: dict[str, Any]) -> None:
    data, summary["identity"] = prepare(config)
    with open_logger(config, path, summary["identity"]) as logger:
        write_csv(path / "split.csv", data.split_table())
        summary["stages"] = train_stages(config, directory, summary, data, logger)
        table = evaluate_stages(config, path, data)
        write_csv(path / "per_image.csv", table)
        summary["metrics"] = part_means(table)
        draw_extremes(config, path, data, table)
        draw_sites(config, path, data)
        logger.finish(table, draw_panels(config, path, data, path))


def trained_tasks(config: dict[str, Any], run: Path) -> Iterator[tuple[str, Task]]:
    """Every stage's name and task, with the selected weights."""
    for name in config["stages"]:
        task = build_task(config, name)
        load_task(task, checkpoint_path(run, name))
        yield name, task.eval()


def evaluate_stages(config: dict[str, Any], run: Path, data: UltrasoundData) -> pd.DataFrame:
    """stage, part, record, site and every metric, one row an image, for the parts there are."""
    tables = []
    trainer = build_trainer(config, [])
    for name, task in trained_tasks(config, run):
        for part in (part for part in EVALUATED if part in data.parts):
            with ctrl_c():
                batches = trainer.predict(task, data.part_loader(part))
            assert batches
            columns = {key: torch.cat([batch[key] for batch in batches]).cpu().numpy() for key in batches[0]}
            table = pd.DataFrame(columns).assign(site=lambda t: [data.manifest.sites[i] for i in t["site"]])
            tables.append(table.assign(stage=name, part=part))
    joined = pd.concat(tables, ignore_index=True)
    return joined[["stage", "part", *(c for c in joined if c not in ("stage", "part"))]]


def part_means(table: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """stage -> part -> metric -> mean over the images that have it."""
    result: dict[str, dict[str, dict[str, float]]] = {}
    for keys, rows in table.groupby(["stage", "part"], sort=False):
        stage, part = map(str, keys)
        means = rows.drop(columns=["stage", "part", "record", "site"]).mean().dropna()
        result.setdefault(stage, {})[part] = {str(metric): round(float(mean), 9) for metric, mean in means.items()}
    return result


def draw_panels(config: dict[str, Any], run: Path, data: UltrasoundData, folder: Path) -> dict[str, Figure]:
    """Some images of each evaluated part through every stage: PNG below `folder`; returned is what may be logged."""
    shareable: dict[str, Figure] = {}
    for part in (part for part in EVALUATED if part in data.parts):
        batch = _examples(next(iter(data.part_loader(part))), config["panel_images"])
        if figure := _draw(config, run, batch, folder / "figures" / f"{part}.png"):
            shareable[part] = figure
    return shareable


def draw_extremes(config: dict[str, Any], run: Path, data: UltrasoundData, table: pd.DataFrame) -> None:
    """The test images with the last stage's worst and best answers by its task's `difficulty`, the extreme one first.

    figures/hardest.png and easiest.png.
    """
    stage, task = _last(config)
    tested = table[(table["stage"] == stage) & (table["part"] == "test")]
    difficulty = task.difficulty(tested).dropna().sort_values() if len(tested) else pd.Series()
    count = min(EXTREMES, len(difficulty) // 2)
    if not count:
        return
    unseen: Any = data.part_loader("test").dataset
    place = {record: row for row, record in enumerate(unseen.fields["record"][unseen.rows].tolist())}
    for name, chosen in (("hardest", difficulty[::-1]), ("easiest", difficulty)):
        rows = [place[record] for record in tested.loc[chosen.index[:count], "record"]]
        _draw(config, run, unseen.__getitems__(rows), run / "figures" / f"{name}.png")


def draw_sites(config: dict[str, Any], run: Path, data: UltrasoundData) -> None:
    """Some images of each site, as the networks see them, with what is known of them: figures/sites.png.

    And where in the frame the landmarks lie that are trained on: figures/density.png.
    """
    _, task = _last(config)
    chosen: dict[str, list[Batch]] = {site: [] for site in data.manifest.sites}
    for batch in (batch for part in data.parts for batch in data.part_loader(part)):
        for row, site in enumerate(batch["site"].tolist()):
            if len(of_site := chosen[data.manifest.sites[site]]) < SAMPLES:
                of_site.append({key: values[row : row + 1] for key, values in batch.items()})
        if all(len(images) == SAMPLES for images in chosen.values()):
            break
    shown = {
        site: [(one["image"][0, 0].numpy(), _boxes(config, one), _arrays(task.truth(one))) for one in images]
        for site, images in chosen.items()
    }
    _save(site_panel(shown, _structures(config)), run / "figures" / "sites.png")
    for annotation in data.requires:
        if annotation.kind == "points" and (figure := draw_density(data.manifest.table, annotation)):
            _save(figure, run / "figures" / "density.png")


def _draw(config: dict[str, Any], run: Path, batch: Batch, file: Path) -> Figure | None:
    """Images through every stage, as PNG; what of it may leave the run.

    That is all of images declared free of burnt-in names (`deidentified`), else the ROI alone, which is then drawn
    apart as well (FILE_roi.png).
    """
    pictures: dict[str, Any] = {}
    with torch.inference_mode():
        for stage, task in trained_tasks(config, run):
            pictures = {**task.truth(batch), **pictures}
            pictures |= {f"{stage}: {name}": values for name, values in task.pictures(batch).items()}
    shown = batch["image"][:, 0].numpy(), _boxes(config, batch), _arrays(pictures), _structures(config)
    whole = stage_panel(*shown)
    _save(whole, file)
    if config["deidentified"] is True:
        return whole
    if not config["roi"]:
        return None
    region = stage_panel(*shown, roi_only=True)
    _save(region, file.with_stem(f"{file.stem}_roi"))
    return region


def _last(config: dict[str, Any]) -> tuple[str, Task]:
    """The last stage's name and its task, for what needs no trained weights."""
    name = list(config["stages"])[-1]
    return name, build_task(config, name)


def _boxes(config: dict[str, Any], batch: Batch) -> Any:
    return batch[config["roi"]].numpy() if config["roi"] else None


def _arrays(pictures: dict[str, Any]) -> dict[str, Any]:
    return {name: values.numpy() for name, values in pictures.items()}


def _structures(config: dict[str, Any]) -> list[str]:
    return [text.partition("=")[0] for text in config["structures"] or ()]


def _save(figure: Figure, file: Path) -> None:
    with atomic(file) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _examples(batch: Batch, count: int) -> Batch:
    """The first images of a batch; where there are masks, of those that show most labels."""
    labels = [len(mask.unique()) for mask in batch["mask"]] if "mask" in batch else [0] * len(batch["image"])
    chosen = sorted(range(len(labels)), key=lambda index: -labels[index])[:count]
    return {key: values[chosen] for key, values in batch.items()}
