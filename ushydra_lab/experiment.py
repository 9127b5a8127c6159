"""The spine: stages in order, then every stage on the validation and the test images, into one run directory."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd
import torch
from hydra.utils import get_object
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from matplotlib.figure import Figure

from ushydra_lab import __version__
from ushydra_lab.assembly import (
    build_data,
    build_task,
    build_trainer,
    load_network,
    load_task,
    open_logger,
    read_checkpoint,
    rehearse,
)
from ushydra_lab.callbacks.history import History
from ushydra_lab.config import determining, digest, make
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.report.panels import stage_panel
from ushydra_lab.runs.directory import RunDirectory, checkpoint_path, job_identity
from ushydra_lab.runs.files import atomic, link_or_copy, write_csv
from ushydra_lab.runs.stage_store import StageFolder, open_stage
from ushydra_lab.runs.wandb_logger import RunLogger
from ushydra_lab.tasks.base import Batch, Task

log = logging.getLogger(__name__)
EVALUATED = ("val", "test")
HARDEST = 10
DETERMINING = ("seed", "canvas", "batch_size", "augment", "oversample", "label_audit", "network", "trainer")
"""What all stages share that changes their weights."""


@contextmanager
def ctrl_c() -> Iterator[None]:
    """Let Ctrl-C end the program as everywhere else; Lightning ignores further ones and exits."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


def run(config: dict[str, Any], path: Path) -> None:
    """Do one job, or what is missing of it.

    Raises:
        UserError: bad input, a directory that holds other results, a full disk; nothing else is left half-written.
    """
    directory = RunDirectory(path, config)
    directory.refuse_other_config()
    L.seed_everything(config["seed"], workers=True, verbose=False)
    data = rehearse(config)
    data.setup("fit")
    identity = job_identity(config, data.fingerprint(data.parts))
    if directory.finished(identity):
        log.info("already finished: %s", path)
        return
    with directory.claim(identity) as summary, open_logger(config, path, identity) as logger:
        write_csv(path / "split.csv", data.split_table())
        summary["stages"] = train_stages(config, path, data, logger)
        table = evaluate_stages(config, path, data)
        write_csv(path / "per_image.csv", table)
        summary["metrics"] = part_means(table)
        draw_hardest(config, path, data, table)
        logger.finish(table, draw_panels(config, path, data, path))


def train_stages(config: dict[str, Any], path: Path, data: UltrasoundData, logger: RunLogger) -> dict[str, Any]:
    """Train, or find, every stage; link its weights and curves into the run directory."""
    keys: dict[str, str] = {}
    records: dict[str, Any] = {}
    for name, stage in config["stages"].items():
        images = build_data(config | stage["instead"]) if stage["instead"] else data
        keys[name] = stage_key(config | stage["instead"], name, images, keys)
        init = checkpoint_path(path, stage["init"]) if stage["init"] else None
        with open_stage(Path(config["run_root"]) / ".stages", keys[name]) as folder:
            if folder.done:
                log.info("%s: found, trained before", name)
            else:
                fit(config, name, images, folder, init, logger)
            records[name] = folder.record
            link_or_copy(folder.weights, checkpoint_path(path, name))
            link_or_copy(folder.history, path / "history" / f"{name}.csv")
    return records


def stage_key(config: dict[str, Any], name: str, data: UltrasoundData, earlier: dict[str, str]) -> str:
    """Hash of all that determines a stage's weights; the held-out site is not part of it."""
    kept = determining(config)
    stage = kept["stages"][name]
    for setting in get_object(stage["task"]["_target_"]).only_evaluated:
        stage["task"].pop(setting, None)
    shared = {key: kept[key] for key in DETERMINING}
    init = earlier[stage["init"]] if stage["init"] else None
    return digest([__version__, data.fingerprint(("train", "val")), shared, stage, init])


def fit(
    config: dict[str, Any], name: str, data: UltrasoundData, folder: StageFolder, init: Path | None, logger: RunLogger
) -> None:
    """Train one stage, from where it was interrupted if it was."""
    stage = config["stages"][name]
    task = build_task(config, name)
    if init:
        load_network(task, init)
    task.prepare(data.part_loader("train"))
    best = ModelCheckpoint(
        folder.path, "best", monitor=task.selection, save_weights_only=True, enable_version_counter=False
    )
    last = ModelCheckpoint(folder.path, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    history = History(folder.history, name)
    callbacks = list(map(make, stage["callbacks"].values()))
    if stage["patience"]:
        callbacks.append(EarlyStopping(task.selection, stage["min_delta"], stage["patience"]))
    callbacks += [history, best, last]  # last: it keeps the state of all others
    trainer = build_trainer(config, callbacks, max_epochs=stage["max_epochs"], logger=logger.for_stage(name))
    resume = folder.resume if folder.resume.exists() else None
    if resume:
        read_checkpoint(resume)
    log.info("%s: %s", name, "continuing" if resume else f"training on {(data.part == 'train').sum()} images")
    with ctrl_c():
        trainer.fit(task, data, ckpt_path=resume, weights_only=True)
    assert best.best_model_score is not None
    folder.finish(
        {
            "key": folder.path.name,
            "epochs": len(history.rows),
            "selected_by": task.selection,
            "selected_epoch": int(read_checkpoint(folder.weights)["epoch"]) + 1,
            "score": float(best.best_model_score),
            "loss_weights": task.loss_weights(),
        }
    )


def trained_tasks(config: dict[str, Any], run: Path) -> Iterator[tuple[str, Task]]:
    """Every stage's name and task, with the selected weights."""
    for name in config["stages"]:
        task = build_task(config, name)
        load_task(task, checkpoint_path(run, name))
        yield name, task.eval()


def evaluate_stages(config: dict[str, Any], run: Path, data: UltrasoundData) -> pd.DataFrame:
    """stage, part, record, site and every metric, one row an image, for the parts there are."""
    tables = []
    trainer = build_trainer(config, [], logger=False)
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
