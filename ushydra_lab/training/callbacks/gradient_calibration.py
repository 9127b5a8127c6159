"""Loss weights from gradients: calibrated once at the start of a stage, or followed through training."""

from __future__ import annotations

import logging
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch.utilities.seed import isolate_rng

from ushydra_lab.errors import UserError
from ushydra_lab.losses.weighting import FixedWeights, GradNormWeights, calibrated_weights, gradient_norms
from ushydra_lab.tasks.base import Batch
from ushydra_lab.tasks.reconstruction import Reconstruction

log = logging.getLogger(__name__)


def term_gradient_norms(trainer: Trainer, task: Reconstruction, batch: Batch) -> dict[str, float]:
    """Gradient norm of each unscaled loss term with respect to the network, under the trainer's precision."""
    batch = move_data_to_device(batch, trainer.strategy.root_device)
    with torch.enable_grad(), trainer.precision_plugin.train_step_context():
        return gradient_norms(task.weighed(task.losses(batch)), list(task.network.parameters()))


class GradientCalibration(Callback):
    """At the start of a stage, weigh each term inversely to its mean gradient norm (paper 1, section 2.4).

    The norms are averaged over the data's `calibration_batches`, on unscaled losses; the weights sum to the number of
    terms and differ by at most the factor `cap`. They live in `task.weighting.weights`, so every checkpoint holds them;
    a resumed stage keeps those it has. The stage's record holds the norms. Training draws the same random numbers as
    without calibration, and the weights are a function of the seed, the data and the network it begins with.

    Raises:
        UserError: a term has a zero or non-finite gradient.
    """

    def __init__(self, batches: int = 8, cap: float = 100.0) -> None:
        self.batches = batches
        self.cap = cap
        self.norms: dict[str, float] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Reconstruction)
        if self.norms:
            return
        self.norms = self._mean_norms(trainer, pl_module)
        try:
            weights = calibrated_weights(self.norms, cap=self.cap)
        except ValueError as error:
            raise UserError(f"The loss weights cannot be calibrated: {error}") from error
        assert isinstance(pl_module.weighting, FixedWeights)
        pl_module.weighting.weights.copy_(weights)
        values = dict(zip(self.norms, weights.tolist(), strict=True))
        log.info(
            "calibrated loss weights: %s",
            "  ".join(f"{k} {v:.4g} (|g| {self.norms[k]:.3g})" for k, v in values.items()),
        )

    def _mean_norms(self, trainer: Trainer, task: Reconstruction) -> dict[str, float]:
        batches = trainer.datamodule.calibration_batches(self.batches)  # type: ignore[attr-defined]
        with isolate_rng():
            found = [term_gradient_norms(trainer, task, batch) for batch in batches]
        return {name: sum(norms[name] for norms in found) / len(found) for name in found[0]}

    def state_dict(self) -> dict[str, Any]:
        return {"norms": self.norms}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.norms = state_dict["norms"]


class GradNorm(Callback):
    """Before each step, move the weights so that the terms' gradient norms keep pace with their training (Chen 2018).

    Goes with `GradNormWeights`.
    """

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        assert isinstance(pl_module, Reconstruction)
        assert isinstance(pl_module.weighting, GradNormWeights)
        with torch.enable_grad(), trainer.precision_plugin.train_step_context():
            losses = pl_module.weighed(pl_module.losses(batch))
            norms = gradient_norms(losses, list(pl_module.network.parameters()))
        try:
            pl_module.weighting.step(norms, losses)
        except ValueError as error:
            raise UserError(f"The loss weights cannot be moved: {error}") from error
