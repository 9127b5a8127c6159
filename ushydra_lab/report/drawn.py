"""Reports that are drawn: nothing below the experiment has another size or time of change than when it was drawn.

A sweep that found nothing to do so draws no report again; the verb `report` always does.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from ushydra_lab import __version__
from ushydra_lab.files import DamagedFile, read_json, write_json

DRAWN = "report/.drawn.json"
NO_RESULTS = {Path(DRAWN).name, ".lock", ".plan.json.lock", ".verified.json", "run.log", "multirun.yaml"}
"""Files that every command writes, whatever it finds."""


def is_drawn(experiment: Path) -> bool:
    """Whether the report of an experiment's directory shows its runs as they are now."""
    try:
        return read_json(experiment / DRAWN) == _remembered(experiment)
    except (DamagedFile, OSError):
        return False


def remember(experiment: Path) -> None:
    """Remember what the report, just written in full, was made of."""
    with contextlib.suppress(OSError):  # it is drawn again
        write_json(experiment / DRAWN, _remembered(experiment))


def _remembered(experiment: Path) -> dict[str, Any]:
    """The lab's version, and file -> bytes and time of change in ns of runs and report."""
    files = sorted(file for file in experiment.rglob("*") if file.name not in NO_RESULTS and file.is_file())
    stats = {str(file.relative_to(experiment)): file.stat() for file in files}
    return {"version": __version__, "files": {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}}
