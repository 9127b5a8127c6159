"""The store of trained stages: each under the hash of what determines it, shared by all runs below one `run_root`.

All variants of a later stage start from the same earlier checkpoint: whoever comes first trains it under a file lock,
the others wait and reuse it.

stage.json holds the SHA-256 of the weights and of the curves, and they are compared whenever a finished stage is
found: a run's checkpoints are hard links to these files, so that whoever saves over one of a run changes the store's.

A damaged file of an unfinished stage costs time only: the stage is trained anew, to the same weights. That of a
finished one is refused, since other runs were measured with its weights, and on a GPU new ones would differ a little.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from ushydra_lab.files import (
    DamagedFile,
    disk_errors,
    read_json,
    read_table,
    refuse_change,
    remove_temporary,
    sha256,
    write_json,
)
from ushydra_lab.runs.checkpoint_io import damage
from ushydra_lab.runs.summary import StageSummary, parse_stage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageFolder:
    """The folder of one stage: its selected weights, resumable state, curves and, written last, its record."""

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
        """The file of the curves, one row per epoch."""
        return self.path / "history.csv"

    @property
    def done(self) -> bool:
        return (self.path / "stage.json").exists()

    @property
    def summary(self) -> StageSummary:
        """The finished stage's record.

        Raises:
            DamagedFile: it, the weights or the curves are missing or not as they were written.
        """
        file = self.path / "stage.json"
        content = read_json(file, self.remedy)
        try:
            sums = content.pop("files")
            summary = parse_stage(content)
        except (KeyError, ValueError) as error:
            raise DamagedFile(file, f"is damaged ({error})", self.remedy) from error
        if summary.key != self.path.name:
            raise DamagedFile(file, f"is damaged (it belongs to {summary.key})", self.remedy)
        for kept in (self.weights, self.history):
            refuse_change(kept, sums[kept.name], self.remedy)
        return summary

    @property
    def curves(self) -> pd.DataFrame:
        """The curves as a table, one row per epoch. Raises DamagedFile."""
        return read_table(self.history, set(), self.remedy)

    @property
    def remedy(self) -> str:
        """What the user can do about a damaged file."""
        return f"Remove {self.path} and run the same command again: the stage is trained again."

    def resume_point(self) -> Path | None:
        """The training state to resume from, if any; an unreliable one is removed with a warning."""
        if not self.resume.exists():
            return None
        for file in (self.resume, self.weights):
            if reason := damage(file):
                log.warning("%s is damaged (%s): this stage starts again from its first epoch", file, reason)
                self.resume.unlink()
                return None
        return self.resume

    def finish(self, summary: StageSummary) -> None:
        """Write the stage's record, which marks it as done."""
        sums = {file.name: sha256(file) for file in (self.weights, self.history)}
        write_json(self.path / "stage.json", asdict(summary) | {"files": sums})
        self.resume.unlink(missing_ok=True)


@contextmanager
def open_stage(root: Path, key: str) -> Iterator[StageFolder]:
    """The stage's folder, locked against other processes."""
    folder = StageFolder(root / key[:16])
    with disk_errors(root):
        folder.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.path / ".lock", mode=0o666)
        try:
            held = lock.acquire(timeout=0)
        except Timeout:
            log.info("another process is training this stage, waiting for it (%s)", folder.path)
            held = lock.acquire()
        with held:
            remove_temporary(folder.path)
            yield folder
