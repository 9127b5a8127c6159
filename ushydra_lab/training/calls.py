"""Calling a function in a new process on this machine: `python -m ushydra_lab.training.calls FILE`."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle


def start(call: Callable[[], Any], file: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Start a process that makes the call, passed through `file` in a folder that only this user can write to."""
    with file.open("wb") as carried:
        cloudpickle.dump(call, carried)
    return subprocess.Popen([sys.executable, "-m", __name__, str(file)], env={**os.environ, **environment})


def main() -> None:
    """Make the call stored in FILE, which the parent process has just written."""
    with Path(sys.argv[1]).open("rb") as carried:
        call = pickle.load(carried)
    try:
        call()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        logging.disable()  # torch has a farewell about its caches


if __name__ == "__main__":
    main()
