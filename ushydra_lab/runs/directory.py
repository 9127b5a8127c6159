"""One job's directory: what it holds, whether it is done, and that it is never mixed with another configuration.

config.yaml     resolved configuration
split.csv       part of every image (local: it names images and subjects)
per_image.csv   stage, part, record and the metrics of every validation and test image
checkpoints/    the selected weights of every stage
history/        curves of every stage
figures/        panels
run.json        status, stages, metrics per part, versions; the results are written last
.lock           held by the process that runs the job
"""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from ushydra_lab import __version__
from ushydra_lab.config import determining, digest, flatten, to_yaml
from ushydra_lab.errors import UserError
from ushydra_lab.runs.files import disk_errors, overwrite_json, read_json, write_json, write_text

PLANNED, RUNNING, FINISHED, INTERRUPTED, FAILED = "planned", "running", "finished", "interrupted", "failed"
PACKAGES = ("torch", "lightning", "hydra-core", "numpy", "pandas")
TIME = "%Y-%m-%dT%H:%M:%S%z"
SWEEP = "USHYDRA_SWEEP"
"""Environment variable: which sweep a job belongs to."""


class Busy(UserError):
    """Another process is running this job."""


class RunDirectory:
    """The results of one job under `path`, for one resolved configuration."""

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        self.path = path
        self.config = config

    def refuse_other_config(self) -> None:
        """
        Raises:
            UserError: the directory holds another configuration; the message shows what differs.
        """
        stored = self.path / "config.yaml"
        if not stored.exists():
            return
        before = dict(flatten(determining(read_config(stored))))
        now = dict(flatten(determining(self.config)))
        changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        if changed:
            differences = [
                f"{key}: {before.get(key, '(absent)')} there, {now.get(key, '(absent)')} now" for key in changed
            ]
            differences.append("to keep both, name this one: variant=NAME")
            raise UserError.listing(f"{self.path} holds results of another configuration:", differences)

    @contextmanager
    def note_refusal(self) -> Iterator[None]:
        """Leave the results of a finished job as they are, and note which sweep could not use them, and why."""
        try:
            yield
        except Exception as error:
            refused = {"sweep": os.environ.get(SWEEP), "error": str(error)}
            self.write({**read_json(self.summary_file), "refused": refused})
            raise

    def refuse_other_data(self, identity: str) -> None:
        """
        Raises:
            UserError: the job was finished with other data.
        """
        summary = read_json(self.summary_file)
        if summary["identity"] != identity:
            raise UserError(
                f"{self.path} was finished with other images, annotations or another version of the lab "
                f"({summary['versions']['ushydra_lab']}). To keep both, put what is new elsewhere: run_root=FOLDER"
            )

    @property
    def done(self) -> bool:
        """Whether it holds the results of a finished job, of whatever data."""
        if not self.summary_file.exists():
            return False
        summary = read_json(self.summary_file)
        return summary.get("status") == FINISHED and all(
            checkpoint_path(self.path, stage).exists() for stage in summary["stages"]
        )

    @property
    def summary_file(self) -> Path:
        return self.path / "run.json"

    def plan(self) -> None:
        """Leave a mark that this job is to be done, and since when, unless there is one or a process is at it."""
        with contextlib.suppress(Busy), self.hold():
            if not self.summary_file.exists():
                write_json(self.summary_file, {"status": PLANNED, "planned": _instant()})

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep other processes out.

        Raises:
            Busy: one is in.
            UserError: the directory cannot be written.
        """
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                lock = FileLock(self.path / ".lock").acquire(timeout=1)  # who only asks holds it for a moment
            except Timeout:
                raise Busy(f"{self.path}: another process is running this job") from None
            with lock:
                yield

    @contextmanager
    def record(self) -> Iterator[dict[str, Any]]:
        """The summary, to be filled while the job runs; written now, by `write`, and with the status at the end.

        Raises:
            UserError: the disk is full.
        """
        summary: dict[str, Any] = {"status": RUNNING, "name": self.config["name"]}
        summary |= {key: self.config[key] for key in ("variant", "seed", "held_out", "scale")}
        settings = digest({key: value for key, value in determining(self.config).items() if key != "seed"})
        summary |= {"settings": settings, "versions": versions(), "sweep": os.environ.get(SWEEP), "started": _now()}
        summary["planned"] = self._planned()
        try:
            with disk_errors(self.path):
                write_text(self.path / "config.yaml", to_yaml(self.config))
                self.write(summary)
                yield summary
                self.write({**summary, "status": FINISHED, "ended": _now()})
        except BaseException as error:
            self._record_end(summary, error)
            raise

    def _planned(self) -> str:
        """When the job was planned first, however often it was interrupted since."""
        before = read_json(self.summary_file) if self.summary_file.exists() else {}
        return str(before.get("planned", _instant()))

    def write(self, summary: dict[str, Any]) -> None:
        """Put the summary, as far as it is known, on disk."""
        write_json(self.summary_file, summary)

    def _record_end(self, summary: dict[str, Any], error: BaseException) -> None:
        failed = isinstance(error, Exception)
        ended = {**summary, "status": FAILED if failed else INTERRUPTED, "ended": _now()}
        if failed:
            ended["error"] = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        try:
            self.write(ended)
        except OSError:
            with contextlib.suppress(OSError):  # the error that ended the job is the one to be told
                overwrite_json(self.summary_file, ended)


def held(run: Path) -> bool:
    """Whether a process, on this machine or on one that shares its file system's locks, is running the job."""
    file = run / ".lock"
    if not file.exists():
        return False
    try:
        with FileLock(file).acquire(timeout=0):
            return False
    except Timeout:
        return True


def checkpoint_path(run: Path, stage: str) -> Path:
    """The selected weights of a stage."""
    return run / "checkpoints" / f"{stage}.ckpt"


def read_config(path: Path) -> dict[str, Any]:
    """The configuration stored in a run directory.

    Raises:
        UserError: the file is damaged.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged ({error}). Remove its folder and run the same command again.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged (no keys). Remove its folder and run the same command again.")
    return content


def job_identity(config: dict[str, Any], data_fingerprint: str) -> str:
    """What determines every number of a run: configuration, data and the lab's version."""
    return digest([determining(config), data_fingerprint, __version__])


def versions() -> dict[str, str]:
    """The lab's and the main packages' versions."""
    return {"ushydra_lab": __version__, "python": platform.python_version()} | {
        name: version(name) for name in PACKAGES
    }


def _now() -> str:
    return time.strftime(TIME)


def _instant() -> str:
    """To be sorted by, on whatever machine: UTC, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
