"""A callback that ends the job at once when the loss is NaN or infinite."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from ushydra_lab.devices import reading_waits
from ushydra_lab.errors import UserError
from ushydra_lab.tasks.base import Batch, Task


class FiniteLoss(Callback):
    """Refuses a NaN or infinite loss, in training and validation; early stopping would call such a stage finished.

    Goes before early stopping and checkpoints. A loss of training on an accelerator, reading which would wait for all
    that is queued there, is looked at after the epoch.

    Raises:
        UserError: naming the stage, the epoch and the terms.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.batch: Batch = {}
        self.finite: Tensor | None = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        self.batch = batch

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        assert isinstance(pl_module, Task)
        finite = loss.detach().isfinite().all()
        if reading_waits(loss):
            self.finite = finite if self.finite is None else self.finite & finite
        elif not finite:
            with torch.no_grad():
                self._refuse(trainer, "training", pl_module.losses(self.batch))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Task)
        found, finite, self.finite = trainer.callback_metrics, self.finite, None
        losses = {name: found[name] for name in found if name.startswith("val/")}
        if finite is not None and not finite:
            self._refuse(trainer, "training", losses)
        if not all(found[name].isfinite() for name in ("val/loss", pl_module.selection)):
            self._refuse(trainer, "validation", losses)

    def _refuse(self, trainer: Trainer, where: str, losses: Mapping[str, Tensor]) -> None:
        names = [f"{name} = {float(value):g}" for name, value in losses.items() if not value.isfinite()]
        raise UserError(
            f"{self.stage}, epoch {trainer.current_epoch + 1}: the {where} loss is no finite number "
            f"({', '.join(names) or 'the sum of its terms'}). Lower stages.{self.stage}.task.optimizer.lr or set "
            "trainer.precision=32-true, and name the new run variant=NAME"
        )
