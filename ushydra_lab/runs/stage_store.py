"""Finished stages, each under the hash of what determines it, shared by all runs below one `run_root`.

All variants of a later stage start from the same earlier checkpoint: whoever comes first trains it under a file lock,
the others wait and reuse it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from ushydra_lab.runs.files import disk_errors, read_json, write_json


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
        with FileLock(folder.path / ".lock"):
            yield folder
