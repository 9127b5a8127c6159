"""How long an epoch of a stage will take, by a few training steps whose result is thrown away."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import torch

from ushydra_lab.config.schema import Experiment
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.tasks.base import Batch
from ushydra_lab.training.assembly import build_trainer
from ushydra_lab.training.stage_tasks import build_task

STEPS, ENOUGH_S = 6, 10.0
"""The most steps of a trial, of which the first warms up; no further one begins after so many seconds."""


class Trial:
    """A stage's task with new weights, to be trained on a few batches of training images.

    Nothing of it reaches a job, which builds a task of its own and seeds all generators anew.
    """

    def __init__(self, experiment: Experiment, stage: str, data: UltrasoundData) -> None:
        trainer = build_trainer(experiment.trainer, [])
        self.context, self.device = trainer.precision_plugin.forward_context, trainer.strategy.root_device
        self.data, self.task = data, build_task(experiment, stage)
        self.task.prepare(data.part_loader("train"))
        self.task.to(self.device).train()
        self.optimizer: Any = self.task.optimizer(p for p in self.task.parameters() if p.requires_grad)

    def epoch_seconds(self) -> float:
        """Seconds of an epoch: its training batches, and those of the validation."""
        started = began = time.perf_counter()
        times: list[float] = []
        for batch in self.data.calibration_batches(STEPS):
            self._step(self._placed(batch))
            now = time.perf_counter()
            times.append(now - began)
            if now - started > ENOUGH_S:
                break
            began = now
        trained, watched = self.data.train_dataloader(), self.data.part_loader("val")
        began = time.perf_counter()
        self._watch(self._placed(next(iter(watched))))
        return median(times[1:] or times) * len(trained) + (time.perf_counter() - began) * len(watched)

    def _placed(self, batch: Batch) -> Batch:
        return {name: values.to(self.device) for name, values in batch.items()}

    def _step(self, batch: Batch) -> None:
        self.optimizer.zero_grad()
        with self.context():
            loss = self.task.trained_on(self.task.losses(batch))
        loss.backward()
        self.optimizer.step()
        self._wait()

    def _watch(self, batch: Batch) -> None:
        with torch.no_grad(), self.context():
            self.task.losses(batch)
        self._wait()

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
