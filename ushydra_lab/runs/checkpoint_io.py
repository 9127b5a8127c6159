"""Checkpoints that are whole or not there, whatever interrupts their writing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from ushydra_lab.runs.files import atomic


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the old file and then takes its place; Lightning's own way truncates it on a full disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        with atomic(Path(path)) as temporary:
            torch.save(checkpoint, temporary)
