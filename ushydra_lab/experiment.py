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
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.report.panels import stage_panel
from ushydra_lab.runs.directory import RunDirectory, checkpoint_path, job_identity
from ushydra_lab.runs.files import atomic, write_csv
from ushydra_lab.tasks.base import Batch, Task
from ushydra_lab.training import ctrl_c, train_stages

log = logging.getLogger(__name__)
EVALUATED = ("val", "test")
HARDEST = 10


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
        draw_hardest(config, path, data, table)
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
    """Some images of each evaluated part through every stage: PNG below `folder`, and returned to be logged.

    Whole frames are returned only for images declared free of burnt-in names (`deidentified`).
    """
    shareable: dict[str, Figure] = {}
    for part in (part for part in EVALUATED if part in data.parts):
        batch = _examples(next(iter(data.part_loader(part))), config["panel_images"])
        _save(_panel(config, run, batch), folder / "figures" / f"{part}.png")
        if config["deidentified"]:
            shareable[part] = _panel(config, run, batch)
        elif config["roi"]:
            shareable[part] = _panel(config, run, batch, roi_only=True)
    return shareable


def draw_hardest(config: dict[str, Any], run: Path, data: UltrasoundData, table: pd.DataFrame) -> None:
    """The HARDEST test images of the last stage by its task's `worst` metric, the worst first: figures/hardest.png."""
    *_, (stage, task) = trained_tasks(config, run)
    tested = table[(table["stage"] == stage) & (table["part"] == "test")]
    if not task.worst or tested.empty:
        return
    records = tested.dropna(subset=task.worst).nlargest(HARDEST, task.worst)["record"].tolist()
    batches = list(data.part_loader("test"))
    whole = {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}
    rows = [whole["record"].tolist().index(record) for record in records]
    _save(_panel(config, run, {key: values[rows] for key, values in whole.items()}), run / "figures" / "hardest.png")


def _panel(config: dict[str, Any], run: Path, batch: Batch, roi_only: bool = False) -> Figure:
    images, boxes = batch["image"][:, 0].numpy(), batch[config["roi"]].numpy() if config["roi"] else None
    pictures: dict[str, Any] = {}
    with torch.inference_mode():
        for stage, task in trained_tasks(config, run):
            pictures = {**task.truth(batch), **pictures}
            pictures |= {f"{stage}: {name}": values for name, values in task.pictures(batch).items()}
    pictures = {name: values.numpy() for name, values in pictures.items()}
    structures = [text.partition("=")[0] for text in config["structures"] or ()]
    return stage_panel(images, boxes, pictures, structures, roi_only)


def _save(figure: Figure, file: Path) -> None:
    with atomic(file) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _examples(batch: Batch, count: int) -> Batch:
    """The first images of a batch; where there are masks, of those that show most labels."""
    labels = [len(mask.unique()) for mask in batch["mask"]] if "mask" in batch else [0] * len(batch["image"])
    chosen = sorted(range(len(labels)), key=lambda index: -labels[index])[:count]
    return {key: values[chosen] for key, values in batch.items()}
