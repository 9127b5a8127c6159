"""Reseeding before every epoch, so that its random numbers do not depend on earlier epochs."""

from __future__ import annotations

import lightning as L
import numpy as np
from lightning import Callback, LightningModule, Trainer


class EpochSeed(Callback):
    """Before every epoch, seeds all generators by (seed, epoch): a resumed stage draws the dropout it would have drawn.

    Sampler and augmentation are functions of (seed, epoch) and (seed, batches trained on) by themselves.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        (state,) = np.random.SeedSequence([self.seed, trainer.current_epoch]).generate_state(1)
        L.seed_everything(int(state), verbose=False)
