"""The directory of a job while it runs: written, locked against other processes, never mixing two configurations.

`runs.run` says what it holds and reads it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from filelock import FileLock, Timeout

from ushydra_lab import __version__
from ushydra_lab.config.identity import determining, digest, flatten, to_yaml
from ushydra_lab.config.schema import Experiment
from ushydra_lab.errors import UserError
from ushydra_lab.files import (
    disk_errors,
    link_or_copy,
    overwrite_json,
    read_json,
    remove_temporary,
    sha256,
    write_csv,
    write_json,
    write_text,
)
from ushydra_lab.runs.run import CONFIG, IMAGES, SPLIT, SUMMARY, Run
from ushydra_lab.runs.safe_yaml import read_config
from ushydra_lab.runs.stored_experiment import moved_targets
from ushydra_lab.runs.summary import FAILED, FINISHED, INTERRUPTED, PLANNED, RUNNING, TIME, StageSummary, column_to_json
from ushydra_lab.runs.verified import is_unchanged, remember
from ushydra_lab.tasks.columns import declared_elsewhere

if TYPE_CHECKING:
    from ushydra_lab.runs.stage_store import StageFolder

log = logging.getLogger(__name__)
PACKAGES = ("torch", "lightning", "hydra-core", "numpy", "pandas")
RESULT_FOLDERS = ("checkpoints", "history", "figures")
SWEEP = "USHYDRA_SWEEP"
"""Environment variable with the id of the sweep that a job belongs to."""


class Busy(UserError):
    """Another process is running this job."""


class RunDirectory:
    """The results of one job under `path`, for one experiment."""

    def __init__(self, path: Path, experiment: Experiment) -> None:
        self.path = path
        self.experiment = experiment
        self._summary: dict[str, Any] = {}

    @property
    def run(self) -> Run:
        """The run as it lies on disk now."""
        return Run(self.path)

    def refuse_other_config(self) -> None:
        """
        Raises:
            UserError: the directory holds another configuration; the message shows what differs.
        """
        known = self.run.summary if (self.path / SUMMARY).exists() else None
        if known and (known.settings, known.seed) == (self._settings(), self.experiment.seed):
            return
        if not (self.path / CONFIG).exists():
            if known and known.settings and known.settings != self._settings():
                name = "to keep both, name this one: variant=NAME"
                raise UserError(f"{self.path} holds results of another configuration, its config.yaml is gone; {name}")
            return
        stored = self.run.config if known else read_config(self.path / CONFIG, self.run.remedy)
        before = dict(flatten(determining(moved_targets(stored))))
        now = dict(flatten(determining(self.experiment.as_dict())))
        changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        if changed:
            differences = [
                f"{key}: {before.get(key, '(absent)')} there, {now.get(key, '(absent)')} now" for key in changed
            ]
            differences.append("to keep both, name this one: variant=NAME")
            raise UserError.listing(f"{self.path} holds results of another configuration:", differences)

    @contextmanager
    def note_refusal(self) -> Iterator[None]:
        """Keep the results of a finished job, and note in run.json which sweep could not use them and why."""
        try:
            yield
        except Exception as error:
            file = self.path / SUMMARY
            refused = {"sweep": os.environ.get(SWEEP, ""), "error": str(error)}
            write_json(file, {**read_json(file, self.run.remedy, old=True), "refused": refused})
            raise

    def refuse_other_data(self, identity: str) -> None:
        """
        Raises:
            UserError: the job was finished with other data.
        """
        summary = self.run.summary
        if summary.identity != identity:
            raise UserError(
                f"{self.path} was finished with other images, annotations or another version of the lab "
                f"({summary.versions.get('ushydra_lab', 'unknown')}). To keep both, put what is new elsewhere: "
                "run_root=FOLDER"
            )

    def declare(self) -> None:
        """Keep what is declared now of a finished job's images: whether they are free of burnt-in names."""
        if self.run.deidentified is not (now := self.experiment.deidentified is True):
            file = self.path / SUMMARY
            write_json(file, {**read_json(file, self.run.remedy, old=True), "deidentified": now})

    @property
    def done(self) -> bool:
        """Whether the directory holds the complete results of a finished job, whatever its data.

        Raises:
            DamagedFile: a file is not as it was written.
        """
        run = self.run
        if not (self.path / SUMMARY).exists() or run.summary.status != FINISHED:
            return False
        if missing := run.missing_files:
            log.warning("%s lacks %s: made again", self.path, ", ".join(missing))
            return False
        if not is_unchanged(run):
            run.verify()
            remember(run)
        return True

    def made_of(self, manifest: str) -> bool:
        """Whether this version of the lab finished the job with the data of this fingerprint."""
        summary = self.run.summary
        return summary.data == manifest and summary.versions.get("ushydra_lab") == __version__

    def plan(self) -> None:
        """Mark the job as planned, with the time, unless it is marked already or a process is running it."""
        with contextlib.suppress(Busy), self.lock():
            if not (self.path / SUMMARY).exists():
                write_json(self.path / SUMMARY, {"status": PLANNED, "planned": _instant()})

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the directory against other processes.

        Raises:
            Busy: one is in.
            UserError: the directory cannot be written.
        """
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                lock = FileLock(self.path / ".lock", mode=0o666)  # others of the group may ask and continue
                held = lock.acquire(timeout=1)  # who only asks holds it for a moment
            except Timeout:
                raise Busy(f"{self.path}: another process is running this job") from None
            with held:
                for folder in (self.path, *(self.path / name for name in RESULT_FOLDERS)):
                    remove_temporary(folder)
                yield

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Keep run.json up to date: at the start, at every note of progress, and at the end or failure.

        Raises:
            UserError: the disk is full.
        """
        content = self.experiment.as_dict()
        self._summary = {"status": RUNNING}
        self._summary |= {key: content[key] for key in ("name", "variant", "seed", "held_out", "scale")}
        self._summary |= {"settings": self._settings(), "versions": versions(), "sweep": os.environ.get(SWEEP, "")}
        self._summary |= {"started": _now(), "planned": self._planned()}
        try:
            with disk_errors(self.path):
                write_text(self.path / CONFIG, to_yaml(content))
                self._write()
                yield
                self._write(status=FINISHED, ended=_now())
                remember(self.run)
        except BaseException as error:
            self._record_end(error)
            raise

    def note(self, **known: Any) -> None:
        """Add entries to the content of run.json."""
        self._summary |= known

    def note_pace(self, work: str, seconds: float, epochs: int = 1) -> None:
        """Note how long a piece of work took (`runs.pace`): seconds of one image's epoch, and how many epochs."""
        self._summary.setdefault("pace", {})[work] = [seconds, epochs]

    def note_progress(self, now: dict[str, Any]) -> None:
        """Write the stage that is being trained into run.json, for `ushydra_lab runs`."""
        self._write(now=now)

    def write_results(
        self,
        stages: dict[str, StageSummary],
        folders: dict[str, StageFolder],
        split: pd.DataFrame,
        images: pd.DataFrame,
        metrics: dict[str, Any],
        written: Iterable[str],
    ) -> None:
        """Write all results and their checksums at the end, restoring whatever was removed while the job ran.

        written: names of files of the run that were written before.
        """
        write_text(self.path / CONFIG, to_yaml(self.experiment.as_dict()))
        write_csv(self.path / SPLIT, split)
        write_csv(self.path / IMAGES, images)
        files = [CONFIG, SPLIT, IMAGES, *written]
        for name, folder in folders.items():
            kept = {f"checkpoints/{name}.ckpt": folder.weights, f"history/{name}.csv": folder.history}
            for file, source in kept.items():
                link_or_copy(source, self.path / file)
            files += kept
        self.note(
            stages={name: asdict(stage) for name, stage in stages.items()},
            metrics=metrics,
            columns=[column_to_json(column) for column in declared_elsewhere(images)],
            files={name: sha256(self.path / name) for name in files},
        )

    def _settings(self) -> str:
        """Hash of the settings that the runs of all seeds share."""
        return digest({key: value for key, value in determining(self.experiment.as_dict()).items() if key != "seed"})

    def _planned(self) -> str:
        """The time at which the job was first planned, however often it was interrupted since."""
        before = self.run.summary.planned if (self.path / SUMMARY).exists() else ""
        return before or _instant()

    def _write(self, **more: Any) -> None:
        write_json(self.path / SUMMARY, {**self._summary, **more})

    def _record_end(self, error: BaseException) -> None:
        failed = isinstance(error, Exception)
        ended: dict[str, Any] = {"status": FAILED if failed else INTERRUPTED, "ended": _now()}
        if failed:
            ended["error"] = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            ended["public"] = error.public if isinstance(error, UserError) else ""
        try:
            self._write(**ended)
        except OSError:
            with contextlib.suppress(OSError):  # the error that ended the job is the one to be told
                overwrite_json(self.path / SUMMARY, {**self._summary, **ended})


def job_identity(experiment: Experiment, data_fingerprint: str) -> str:
    """Hash of everything that determines a run's numbers: configuration, data and the lab's version."""
    return digest([determining(experiment.as_dict()), data_fingerprint, __version__])


def versions() -> dict[str, str]:
    """The lab's and the main packages' versions."""
    return {"ushydra_lab": __version__, "python": platform.python_version()} | {
        name: version(name) for name in PACKAGES
    }


def _now() -> str:
    return time.strftime(TIME)


def _instant() -> str:
    """The time in UTC to the microsecond, so that times of several machines sort."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
