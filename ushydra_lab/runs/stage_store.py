"""Finished stages, each under the hash of what determines it, shared by all runs below one `run_root`.

All variants of a later stage start from the same earlier checkpoint: whoever comes first trains it under a file lock,
the others wait and reuse it.

A damaged file of an unfinished stage costs time only: the stage is trained anew, to the same weights. That of a
finished one is refused, since other runs were measured with its weights, and on a GPU new ones would differ a little.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ushydra_lab.errors import UserError
from ushydra_lab.runs.checkpoint_io import damage
from ushydra_lab.runs.files import disk_errors, read_json, write_json

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageFolder:
    """Where one stage keeps its selected weights, its resumable state, its curves and, written last, its record."""

    path: Path

    @property
    def weights(self) -> Path:
        """The selected weights (a Lightning checkpoint of tensors and plain types)."""
        return self.path / "best.ckpt"

    @property
    def resume(self) -> Path:
        """The whole training state after the last complete epoch; removed when the stage is done."""
        return self.path / "last.ckpt"

    @property
    def history(self) -> Path:
        """Curves, one row an epoch."""
        return self.path / "history.csv"

    @property
    def done(self) -> bool:
        return (self.path / "stage.json").exists()

    @property
    def record(self) -> dict[str, Any]:
        """Selected epoch, its validation loss, epochs trained, loss weights."""
        record: dict[str, Any] = read_json(self.path / "stage.json")
        return record

    def refuse_damage(self) -> None:
        """
        Raises:
            UserError: the finished stage's weights are not as they were written.
        """
        if reason := damage(self.weights):
            remedy = f"Remove {self.path} and run the same command again: the stage is trained again."
            raise UserError(f"{self.weights} is damaged ({reason}). {remedy}")

    def continued(self) -> Path | None:
        """The training state to go on from; one that cannot be relied on is removed, and the log says so."""
        if not self.resume.exists():
            return None
        for file in (self.resume, self.weights):
            if reason := damage(file):
                log.warning("%s is damaged (%s): this stage starts again from its first epoch", file, reason)
                self.resume.unlink()
                return None
        return self.resume

    def finish(self, record: dict[str, Any]) -> None:
        """Mark the stage as done."""
        write_json(self.path / "stage.json", record)
        self.resume.unlink(missing_ok=True)


@contextmanager
def open_stage(root: Path, key: str) -> Iterator[StageFolder]:
    """The stage's folder, held against other processes."""
    folder = StageFolder(root / key[:16])
    with disk_errors(root):
        folder.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.path / ".lock")
        try:
            held = lock.acquire(timeout=0)
        except Timeout:
            log.info("another process is training this stage, waiting for it (%s)", folder.path)
            held = lock.acquire()
        with held:
            yield folder
