"""A job's stages: each trained once for all jobs that share it, and from where it was interrupted."""

from __future__ import annotations

import hashlib
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.utils import get_object
from lightning.pytorch.callbacks import Callback, EarlyStopping

from ushydra_lab import __version__
from ushydra_lab.assembly import build_data, build_task, build_trainer, load_network, load_task, read_checkpoint
from ushydra_lab.callbacks.epoch_seed import EpochSeed
from ushydra_lab.callbacks.finite_loss import FiniteLoss
from ushydra_lab.callbacks.history import History
from ushydra_lab.config import determining, digest, make
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.runs.checkpoint_io import StageCheckpoint
from ushydra_lab.runs.directory import RunDirectory, checkpoint_path
from ushydra_lab.runs.files import link_or_copy
from ushydra_lab.runs.stage_store import StageFolder, open_stage
from ushydra_lab.runs.wandb_logger import RunLogger
from ushydra_lab.tasks.base import Task

log = logging.getLogger(__name__)
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


def train_stages(
    config: dict[str, Any], directory: RunDirectory, summary: dict[str, Any], data: UltrasoundData, logger: RunLogger
) -> dict[str, Any]:
    """Train, or find, every stage; link its weights and curves into the run directory."""
    path = directory.path
    for name, stage in config["stages"].items():
        if stage["init"]:  # too late to find out once the stages before have been trained
            with torch.device("meta"):  # no weights are needed
                task = build_task(config, name)
            task.check_images(data.part_loader("train"))
    keys: dict[str, str] = {}
    records: dict[str, Any] = {}
    for name, stage in config["stages"].items():
        images = build_data(config | stage["instead"]) if stage["instead"] else data
        keys[name] = stage_key(config | stage["instead"], name, images, keys)
        init = checkpoint_path(path, stage["init"]) if stage["init"] else None
        store = Path(config["run_root"]) / ".stages"
        now = {"stage": name, "folder": keys[name][:16], "max_epochs": stage["max_epochs"]}
        directory.write({**summary, "now": now})
        with open_stage(store, keys[name]) as folder:
            if folder.done:
                folder.refuse_damage()
                log.info("%s: found, trained before", name)
            else:
                fit(config, name, images, folder, init, logger)
            records[name] = folder.record
            logger.stage(name, folder.history, folder.record)
            link_or_copy(folder.weights, checkpoint_path(path, name))
            link_or_copy(folder.history, path / "history" / f"{name}.csv")
    return records


def stage_key(config: dict[str, Any], name: str, data: UltrasoundData, earlier: dict[str, str]) -> str:
    """Hash of all that determines a stage's weights; the held-out site is not part of it.

    A folder of weights to begin from counts by what it holds: the same path may come to hold others.
    """
    kept = _weights_by_content(determining(config))
    stage = kept["stages"][name]
    for setting in get_object(stage["task"]["_target_"]).only_evaluated:
        stage["task"].pop(setting, None)
    shared = {key: kept.get(key) for key in DETERMINING}
    init = earlier[stage["init"]] if stage["init"] else None
    return digest([__version__, data.fingerprint(("train", "val")), shared, stage, init])


def _weights_by_content(settings: dict[str, Any]) -> dict[str, Any]:
    found = dict(settings)
    for key, value in settings.items():
        if isinstance(value, dict):
            found[key] = _weights_by_content(value)
        elif key == "weights" and isinstance(value, str) and (folder := Path(value)).is_dir():
            files = sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")])
            found[key] = [(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
    return found


def fit(
    config: dict[str, Any], name: str, data: UltrasoundData, folder: StageFolder, init: Path | None, logger: RunLogger
) -> None:
    """Train one stage, from where it was interrupted if it was."""
    stage = config["stages"][name]
    task = build_task(config, name)
    if init:
        load_network(task, init)
    task.prepare(data.part_loader("train"))
    best = StageCheckpoint(
        folder.path, "best", monitor=task.selection, save_weights_only=True, enable_version_counter=False
    )
    last = StageCheckpoint(folder.path, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    history = History(folder.history, name, logger.epochs)
    callbacks: list[Callback] = [EpochSeed(config["seed"]), FiniteLoss(name)]
    callbacks += map(make, stage["callbacks"].values())
    if stage["patience"]:
        callbacks.append(EarlyStopping(task.selection, stage["min_delta"], stage["patience"]))
    callbacks += [history, best, last]  # last: it keeps the state of all others
    trainer = build_trainer(config, callbacks, max_epochs=stage["max_epochs"])
    if resume := folder.continued():
        read_checkpoint(resume)
    log.info("%s: %s", name, "continuing" if resume else f"training on {(data.part == 'train').sum()} images")
    with ctrl_c(), _placed(trainer, name):
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


@contextmanager
def _placed(trainer: L.Trainer, stage: str) -> Iterator[None]:
    """Let an unforeseen error say where training was."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in {stage}, epoch {trainer.current_epoch + 1}")
        raise
