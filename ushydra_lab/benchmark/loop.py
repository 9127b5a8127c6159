"""Timing a stage from inside its training, alternating with other works between its epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

import lightning as L
import numpy as np
from lightning import Callback, LightningModule
from torch.optim import Optimizer

from ushydra_lab.benchmark.lab import Lab, quiet
from ushydra_lab.benchmark.timing import Work, seconds, synchronised_time
from ushydra_lab.config.schema import Experiment
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.runs.stage_store import StageFolder
from ushydra_lab.tasks.base import Task
from ushydra_lab.training.stage_tasks import fresh_task
from ushydra_lab.training.stages import fit
from ushydra_lab.training.wandb_logger import RunLogger

TRAINING, EPOCH = "training", "epoch"
_running: dict[str, Stopwatch] = {}


class Stopwatch(Callback):
    """Seconds of each epoch but the first: `training`, its steps with their data; `epoch`, with validation, curves and
    checkpoints. Between two epochs comes every other work, once.
    """

    def __init__(self, lab: Lab, others: Mapping[str, Work]) -> None:
        self.lab, self.others = lab, others
        self.times: dict[str, list[float]] = {name: [] for name in (TRAINING, EPOCH, *others)}
        self.started = self.resumed = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: LightningModule) -> None:
        self.started = synchronised_time(self.lab.device)

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.is_last_batch and trainer.current_epoch:
            self.times[TRAINING].append(synchronised_time(self.lab.device) - self.started)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch:
            self.times[EPOCH].append(synchronised_time(self.lab.device) - self.resumed)
        for name, work in self.others.items():
            taken = seconds(work, self.lab.device)
            if trainer.current_epoch:
                self.times[name].append(taken)
        self.resumed = synchronised_time(self.lab.device)


def running(key: str) -> Stopwatch:
    """The stopwatch of a stage's folder: a configuration names callbacks, it cannot hold one."""
    return _running[key]


def timed_fit(
    lab: Lab, experiment: Experiment, stage: str, data: UltrasoundData, others: Mapping[str, Work]
) -> dict[str, list[float]]:
    """Train a stage for `repeats` epochs and one to warm up; seconds of each (`Stopwatch`)."""
    folder = StageFolder(lab.folder / uuid4().hex)
    folder.path.mkdir()
    _running[folder.path.name] = Stopwatch(lab, others)
    node = {"_target_": f"{__name__}.running", "key": folder.path.name}
    settings = experiment.stages[stage]
    callbacks = settings.callbacks | {"stopwatch": node}
    timed = replace(settings, max_epochs=lab.repeats + 1, patience=None, callbacks=callbacks)
    with quiet():
        alone = replace(experiment, stages={stage: timed})
        fit(alone, stage, data, folder, fresh_task(alone, stage), None, RunLogger(None))
    return _running.pop(folder.path.name).times


class BareLoop:
    """The same task on the same batches, without Lightning and its callbacks."""

    def __init__(self, lab: Lab, task: Task, data: UltrasoundData) -> None:
        self.lab, self.task, self.data = lab, task, data
        self.optimizer: Optimizer = task.configure_optimizers()
        self.loader, self.done = data.train_dataloader(), 0

    def epoch(self) -> None:
        self.loader.sampler.set_epoch(self.done)  # type: ignore[attr-defined]
        for index, images in enumerate(self.loader):
            batch = self.lab.to_device(images)
            if self.data.augment:
                step = self.done * len(self.loader) + index
                batch = self.data.augment(batch, np.random.default_rng([self.data.seed, step]))
            self.optimizer.zero_grad()
            self.task.trained_on(self.task.losses(batch)).backward()
            self.optimizer.step()
        self.done += 1
