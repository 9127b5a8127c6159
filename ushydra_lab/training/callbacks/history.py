"""Writing a stage's curves: one CSV row per epoch, and now and then a line in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
from lightning import Callback, LightningModule, Trainer

from ushydra_lab.files import write_csv
from ushydra_lab.tasks.base import Task

log = logging.getLogger(__name__)


FALLING = 0.05
"""Share by which the validation loss falls in the last fifth of a stage's epochs that is told."""


def still_falling(losses: Sequence[float]) -> float:
    """By which share the mean of the last fifth is below that of the fifth before; 0 of fewer than five epochs."""
    fifth = len(losses) // 5
    if not fifth or (before := fmean(losses[-2 * fifth : -fifth])) <= 0:
        return 0.0
    return 1 - fmean(losses[-fifth:]) / before


class History(Callback):
    """Writes `path` after every epoch and logs a line at most every `quiet_s` seconds; survives a resumed stage.

    A row has the losses and, as `weight/TERM`, the terms' weights. `publish` gets the stage's name and all its rows.
    Remembers an early stop too: Lightning would train a stage that was killed just after it for another epoch.
    """

    def __init__(
        self,
        path: Path,
        stage: str,
        publish: Callable[[str, list[dict[str, float]]], None] = lambda *_: None,
        quiet_s: float = 15.0,
    ) -> None:
        self.path = path
        self.stage = stage
        self.publish = publish
        self.quiet_s = quiet_s
        self.rows: list[dict[str, float]] = []
        self.trainer: Trainer | None = None
        self.stopped = False
        self._spoke = self._began = self._ended = time.monotonic()
        self._found = 0

    @property
    def epoch_seconds(self) -> float | None:
        """Seconds of an epoch on average, of those trained since this process began the stage; None without one."""
        trained = len(self.rows) - self._found
        return (self._ended - self._began) / trained if trained else None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.trainer, trainer.should_stop = trainer, self.stopped
        self._began, self._found = time.monotonic(), len(self.rows)
        self.publish(self.stage, self.rows)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Task)
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        weights = {f"weight/{term}": weight for term, weight in pl_module.loss_weights().items()}
        self.rows.append({"epoch": trainer.current_epoch, **values, **weights})
        if trainer.is_global_zero:
            write_csv(self.path, pd.DataFrame(self.rows))
        self.publish(self.stage, self.rows)
        self._ended = time.monotonic()
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if last or time.monotonic() - self._spoke > self.quiet_s:
            self._spoke = time.monotonic()
            losses = "  ".join(f"{name} {values[name]:.5f}" for name in ("train/loss", "val/loss") if name in values)
            log.info(
                "%s  epoch %d of at most %d  %s", self.stage, trainer.current_epoch + 1, trainer.max_epochs, losses
            )
        if last and (fall := still_falling([row["val/loss"] for row in self.rows if "val/loss" in row])) > FALLING:
            log.info(
                "%s ends unfinished: in the last fifth of its epochs the validation loss fell by %.0f %%; "
                "stages.%s.max_epochs trains longer", self.stage, 100 * fall, self.stage
            )  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        """For the processes of further devices: only the first publishes."""
        return {**vars(self), "publish": lambda *_: None}

    def state_dict(self) -> dict[str, Any]:
        # asked of the trainer only now: early stopping decides after all other callbacks, just before the checkpoint
        return {"rows": self.rows, "stopped": self.trainer is not None and self.trainer.should_stop}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self.stopped = state_dict["rows"], state_dict["stopped"]
