"""Training of a job's stages: once for all jobs that share a stage, resumed where it was interrupted."""

from __future__ import annotations

import hashlib
import logging
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping

from ushydra_lab import __version__
from ushydra_lab.config.identity import determining, digest
from ushydra_lab.config.instantiate import instantiate
from ushydra_lab.config.schema import Epoch, Experiment
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.runs.checkpoint_io import LatestCheckpoint, StageCheckpoint, read_checkpoint
from ushydra_lab.runs.directory import RunDirectory
from ushydra_lab.runs.run import Run
from ushydra_lab.runs.stage_store import StageFolder, open_stage, stage_folder
from ushydra_lab.runs.summary import STORE, StageSummary
from ushydra_lab.tasks.base import Task
from ushydra_lab.training.assembly import build_data, build_trainer
from ushydra_lab.training.callbacks.epoch_seed import EpochSeed
from ushydra_lab.training.callbacks.finite_loss import FiniteLoss
from ushydra_lab.training.callbacks.gradient_calibration import GradientCalibration
from ushydra_lab.training.callbacks.history import History
from ushydra_lab.training.stage_tasks import FreshTask, fresh_task, load_network, load_task, task_class
from ushydra_lab.training.wandb_logger import RunLogger

log = logging.getLogger(__name__)
DETERMINING = ("seed", "canvas", "batch_size", "augment", "oversample", "label_audit", "network", "trainer")
"""Settings of the experiment that change the weights of every stage."""


class Images(Protocol):
    """What a stage's key asks of the images that it is trained on."""

    def fingerprint(self, parts: Sequence[str]) -> str:
        """Hash of what these parts hold."""


@contextmanager
def ctrl_c() -> Iterator[None]:
    """Make Ctrl-C raise KeyboardInterrupt; Lightning's handler would ignore further ones and exit."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


@dataclass(frozen=True)
class Trained:
    """A trained stage: its task with the weights of the stage's epoch, its record and its folder."""

    task: Task
    summary: StageSummary
    folder: StageFolder


def train_stages(
    experiment: Experiment, directory: RunDirectory, data: UltrasoundData, logger: RunLogger
) -> dict[str, Trained]:
    """Train every stage that is not in the store; each task is built once, for training and evaluation."""
    fresh = {name: fresh_task(experiment, name) for name in experiment.stages}
    for name, stage in experiment.stages.items():
        if stage.init:  # too late to find out once the stages before have been trained
            fresh[name].task.check_images(data.part_loader("train"))
    store = Path(experiment.run_root) / STORE
    keys: dict[str, str] = {}
    done: dict[str, Trained] = {}
    for name, stage in experiment.stages.items():
        seen = experiment.with_own(stage)
        images = build_data(seen) if stage.instead.given else data
        keys[name] = stage_key(seen, name, images, keys)
        directory.note_progress(
            {"stage": name, "folder": stage_folder(store, keys[name]).path.name, "max_epochs": stage.max_epochs}
        )
        with open_stage(store, keys[name]) as folder:
            if folder.done:
                log.info("%s: found, trained before", name)
            else:
                init = done[stage.init].folder.weights if stage.init else None
                if seconds := fit(experiment, name, images, folder, fresh[name], init, logger):
                    trained_on = int((images.part == "train").sum())
                    directory.note_pace(work_of(seen, name), seconds / trained_on, len(folder.curves))
            folder = replace(folder, epoch=stage.epoch)
            summary = folder.summary
            logger.stage(name, folder.curves, summary)
            task = fresh[name].task
            load_task(task, folder.weights)
            done[name] = Trained(task.eval(), summary, folder)
    return done


def stage_key(experiment: Experiment, name: str, data: Images, earlier: dict[str, str]) -> str:
    """Hash of all that determines a stage's weights; the held-out site is not part of it.

    experiment: with what the stage has of its own. A folder of weights to begin from counts by what it holds: the same
    path may come to hold others. Which epoch the stage itself stands for is not part of it: one training has both.
    """
    kept = _weights_by_content(determining(experiment.as_dict()))
    stage = experiment.stages[name]
    kept["stages"][name].pop("epoch", None)
    for setting in task_class(stage).only_evaluated:
        kept["stages"][name]["task"].pop(setting, None)
    shared = {key: kept.get(key) for key in DETERMINING}
    init = earlier[stage.init] if stage.init else None
    last = ["last"] if stage.init and experiment.stages[stage.init].epoch is Epoch.last else []
    return digest([__version__, data.fingerprint(("train", "val")), shared, kept["stages"][name], init, *last])


def work_of(experiment: Experiment, name: str | None) -> str:
    """Hash of what decides how long an epoch of a stage takes, but for the number of images; None: the evaluation.

    Seeds and hospitals differ in none of it. experiment: with what the stage has of its own.
    """
    settings = determining(experiment.as_dict())
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    tasks = {stage: content["task"] for stage, content in settings["stages"].items()}
    shared = [settings.get(key) for key in DETERMINING if key != "seed"]
    return digest([device, shared, tasks if name is None else tasks[name]])[:16]


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
    experiment: Experiment,
    name: str,
    data: UltrasoundData,
    folder: StageFolder,
    fresh: FreshTask,
    init: Path | None,
    logger: RunLogger,
) -> float | None:
    """Train one stage, resuming it if it was interrupted; the seconds that an epoch took, None where none was left."""
    stage, task = experiment.stages[name], fresh.task
    fresh.restore_generators()
    if init:
        load_network(task, init)
    task.prepare(data.part_loader("train"))
    best = StageCheckpoint(
        folder.path, "best", monitor=task.selection, save_weights_only=True, enable_version_counter=False
    )
    last = LatestCheckpoint(folder.path)
    history = History(folder.history, name, logger.epochs)
    callbacks: list[Callback] = [EpochSeed(experiment.seed), FiniteLoss(name)]
    callbacks += map(instantiate, stage.callbacks.values())
    if stage.patience:
        callbacks.append(EarlyStopping(task.selection, stage.min_delta, stage.patience))
    callbacks += [history, best, last]  # last: it keeps the state of all others
    trainer = build_trainer(experiment.trainer, callbacks, max_epochs=stage.max_epochs)
    if resume := folder.resume_point():
        read_checkpoint(resume)
    log.info("%s: %s", name, "continuing" if resume else f"training on {(data.part == 'train').sum()} images")
    with ctrl_c(), _placed(trainer, name):
        trainer.fit(task, data, ckpt_path=resume, weights_only=True)
    assert best.best_model_score is not None
    task.trainer = None  # which would keep the optimizer's state in memory
    folder.finish(
        StageSummary(
            key=folder.path.name,
            epochs=len(history.rows),
            selected_by=task.selection,
            selected_epoch=int(read_checkpoint(folder.weights)["epoch"]) + 1,
            score=float(best.best_model_score),
            loss_weights=task.loss_weights(),
            gradient_norms=next((one.norms for one in callbacks if isinstance(one, GradientCalibration)), {}),
            parameters=sum(p.numel() for p in task.network.parameters()),
            trainable=sum(p.numel() for p in task.network.parameters() if p.requires_grad),
        ),
        keep_last=stage.patience is None,
    )
    return history.epoch_seconds


def finished_tasks(run: Run, experiment: Experiment) -> dict[str, Task]:
    """The tasks of a finished run with their selected weights, by stage. Raises UserError."""
    tasks = {}
    for name in experiment.stages:
        tasks[name] = fresh_task(experiment, name).task.eval()
        load_task(tasks[name], run.weights(name))
    return tasks


@contextmanager
def _placed(trainer: L.Trainer, stage: str) -> Iterator[None]:
    """Add the stage and epoch to an unforeseen error."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in {stage}, epoch {trainer.current_epoch + 1}")
        raise
