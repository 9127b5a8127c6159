"""Finished runs whose files are as large and as old as when they were last compared with their checksums.

That is enough to find that nothing is to do in a sweep of many jobs. Whatever reads a file compares its checksum.
"""

from __future__ import annotations

import contextlib
from typing import Any

from ushydra_lab.files import DamagedFile, read_json, write_json
from ushydra_lab.runs.run import Run

VERIFIED = ".verified.json"


def is_unchanged(run: Run) -> bool:
    """Whether no file of a finished run has another checksum, size or time of change than was remembered."""
    try:
        return run.verified and read_json(run.path / VERIFIED) == _remembered(run)
    except (DamagedFile, OSError):
        return False


def remember(run: Run) -> None:
    """Remember the files of a finished run, all of which have just been written or compared with their checksums."""
    if run.verified:
        with contextlib.suppress(OSError):  # in a folder that may not be written they are compared each time
            write_json(run.path / VERIFIED, _remembered(run))


def _remembered(run: Run) -> dict[str, Any]:
    """File -> checksum, bytes, and time of change in ns."""
    sums = run.summary.files or {}
    found = {name: (run.path / name).stat() for name in sums}
    return {name: [sums[name], stat.st_size, stat.st_mtime_ns] for name, stat in found.items()}
