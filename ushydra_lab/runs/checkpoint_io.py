"""Atomic writing of checkpoints: a file is complete or absent, whatever interrupts it."""

from __future__ import annotations

import math
import pickle
import time
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from ushydra_lab.files import DamagedFile, atomic

EVERY_S = 60.0
"""Seconds of training that a kill may cost, besides those of an epoch."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a new file and then replaces the old one; Lightning's own way truncates it on a full disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        write_checkpoint(Path(path), checkpoint)


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint as a whole."""
    with atomic(path) as temporary, temporary.open("wb") as file:  # given a path, torch writes its name inside
        torch.save(content, file)


class StageCheckpoint(ModelCheckpoint):
    """Keeps the best epoch when the folder has been moved; Lightning's own callback then forgets it."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return str(Path(str(self.dirpath), Path(path).name)) if path else path

        files = ("best_model_path", "kth_best_model_path", "last_model_path")
        best = {here(path): score for path, score in state_dict["best_k_models"].items()}
        moved = {"dirpath": self.dirpath, "best_k_models": best, **{key: here(state_dict[key]) for key in files}}
        super().load_state_dict({**state_dict, **moved})


class LatestCheckpoint(StageCheckpoint):
    """The whole state after an epoch, from which a killed stage goes on.

    Written after the first epoch of a process, then when `EVERY_S` have passed since, and whenever an epoch may be the
    last: so short epochs do not wait for the disk. What was trained since is trained again, to the same weights.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
        self._written = -math.inf

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        ends = trainer.current_epoch + 1 == trainer.max_epochs or trainer.should_stop or trainer.received_sigterm
        due = ends or time.monotonic() - self._written >= EVERY_S
        if trainer.strategy.reduce_boolean_decision(due, all=False):  # all processes that train together write
            super().on_train_epoch_end(trainer, pl_module)
            self._written = time.monotonic()


def damage(checkpoint: Path) -> str | None:
    """The fault of a checkpoint's file, None if it is intact; torch itself does not check the zip's checksums."""
    try:
        with ZipFile(checkpoint) as archive:
            part = archive.testzip()
    except (OSError, BadZipFile) as error:
        return str(error)
    return f"{part} is not as it was written" if part else None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint: tensors and plain types only.

    Raises:
        DamagedFile: the file is damaged, or holds anything else.
    """
    remedy = f"Remove {path.parent} and run the same command again: it is made anew."
    if reason := damage(path):
        raise DamagedFile(path, f"is damaged ({reason})", remedy)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise DamagedFile(path, f"is damaged or no checkpoint ({error})", remedy) from error
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict) or "epoch" not in content:
        raise DamagedFile(path, "is no checkpoint (no state_dict and epoch)", remedy)
    return content
