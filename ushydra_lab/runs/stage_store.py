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
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from ushydra_lab.config.schema import Epoch
from ushydra_lab.files import (
    DamagedFile,
    disk_errors,
    link_or_copy,
    read_json,
    read_table,
    refuse_change,
    remove_temporary,
    sha256,
    write_json,
)
from ushydra_lab.runs.checkpoint_io import damage, read_checkpoint, write_checkpoint
from ushydra_lab.runs.summary import StageSummary, parse_stage

log = logging.getLogger(__name__)
WEIGHTS_ONLY = ("epoch", "global_step", "pytorch-lightning_version", "state_dict")


@dataclass(frozen=True)
class StageFolder:
    """The folder of one stage: its weights, resumable state, curves and, written last, its record.

    epoch: whose weights and record these are; the last one's are kept of stages without early stopping.
    """

    path: Path
    epoch: Epoch = Epoch.best

    @property
    def weights(self) -> Path:
        """The weights of the epoch (a Lightning checkpoint of tensors and plain types)."""
        return self.path / ("best.ckpt" if self.epoch is Epoch.best else "last_epoch.ckpt")

    @property
    def resume(self) -> Path:
        """The whole training state after an epoch of the last minute; removed when the stage is done."""
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
            if kept.name not in sums:
                raise DamagedFile(file, f"has no {kept.name}", self.remedy)
            refuse_change(kept, sums[kept.name], self.remedy)
        return summary if self.epoch is Epoch.best else self._of_last_epoch(summary)

    def _of_last_epoch(self, summary: StageSummary) -> StageSummary:
        """The record for the weights of the last epoch, selected by nothing."""
        score = float(self.curves.iloc[-1].get(summary.selected_by, math.nan))
        key = f"{summary.key} last epoch"
        return replace(summary, key=key, selected_by="", selected_epoch=summary.epochs, score=score)

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

    def finish(self, summary: StageSummary, keep_last: bool) -> None:
        """Write the stage's record, which marks it as done; with the last epoch's weights if they are to be kept."""
        files = [self.weights, self.history]
        if keep_last:
            files.append(replace(self, epoch=Epoch.last).weights)
            if summary.selected_epoch == summary.epochs:
                link_or_copy(self.weights, files[-1])
            else:
                state = read_checkpoint(self.resume)
                write_checkpoint(files[-1], {key: state[key] for key in WEIGHTS_ONLY})
        sums = {file.name: sha256(file) for file in files}
        write_json(self.path / "stage.json", asdict(summary) | {"files": sums})
        self.resume.unlink(missing_ok=True)


def stage_folder(root: Path, key: str) -> StageFolder:
    """Where the stage of a key lies in the store `root`, whether it is there or not."""
    return StageFolder(root / key[:16])


@contextmanager
def open_stage(root: Path, key: str) -> Iterator[StageFolder]:
    """The stage's folder, locked against other processes."""
    folder = stage_folder(root, key)
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
