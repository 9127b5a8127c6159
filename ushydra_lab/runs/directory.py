"""One job's directory: what it holds, whether it is done, and that it is never mixed with another configuration.

config.yaml     resolved configuration
split.csv       part of every image (local: it names images and subjects)
per_image.csv   stage, part, record and the metrics of every validation and test image
checkpoints/    the selected weights of every stage
history/        curves of every stage
figures/        panels
run.json        status, stages, metrics per part, versions; written last
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from ushydra_lab import __version__
from ushydra_lab.config import determining, digest, flatten, to_yaml
from ushydra_lab.errors import UserError
from ushydra_lab.runs.files import disk_errors, read_json, write_json, write_text

FINISHED, RUNNING, INTERRUPTED, FAILED = "finished", "running", "interrupted", "failed"
PACKAGES = ("torch", "lightning", "hydra-core", "numpy", "pandas")


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

    def finished(self, identity: str) -> bool:
        """Whether the job with this identity is done.

        Raises:
            UserError: it is done, but with other data.
        """
        if not self.summary_file.exists():
            return False
        summary = read_json(self.summary_file)
        if summary.get("status") != FINISHED or not all(
            checkpoint_path(self.path, stage).exists() for stage in summary["stages"]
        ):
            return False
        if summary["identity"] != identity:
            raise UserError(
                f"{self.path} was finished with other images, annotations or another version of the lab "
                f"({summary['versions']['ushydra_lab']}). To keep both, name this one: variant=NAME"
            )
        return True

    @property
    def summary_file(self) -> Path:
        return self.path / "run.json"

    @contextmanager
    def claim(self, identity: str) -> Iterator[dict[str, Any]]:
        """Hold the directory while the job runs; yields the summary, to be filled, which is written at the end.

        Raises:
            UserError: another process is running this job, or the disk is full.
        """
        summary: dict[str, Any] = {"status": RUNNING, "identity": identity, "name": self.config["name"]}
        summary |= {key: self.config[key] for key in ("variant", "seed", "held_out", "scale")}
        settings = digest({key: value for key, value in determining(self.config).items() if key != "seed"})
        summary |= {"settings": settings, "versions": versions(), "started": _now()}
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                lock = FileLock(self.path / ".lock").acquire(timeout=0)
            except Timeout:
                raise UserError(f"{self.path}: another process is running this job; wait for it.") from None
            with lock:
                yield from self._guard(summary)

    def _guard(self, summary: dict[str, Any]) -> Iterator[dict[str, Any]]:
        try:
            write_text(self.path / "config.yaml", to_yaml(self.config))
            write_json(self.summary_file, summary)
            yield summary
            summary["status"] = FINISHED
        except Exception as error:
            summary |= {"status": FAILED, "error": f"{type(error).__name__}: {error}"}
            raise
        except BaseException:
            summary["status"] = INTERRUPTED
            raise
        finally:
            summary["ended"] = _now()
            write_json(self.summary_file, summary)


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
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
