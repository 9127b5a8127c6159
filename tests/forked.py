"""The command line in a process of its own that has imported everything already (fork_server.py)."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class ForkServer:
    """Starts what is typed after `python -m ushydra_lab`."""

    process: "subprocess.Popen[str]"

    def start(self, words: list[str], folder: Path, log: Path, file_limit: int = 0, **env: str) -> int:
        """The process's id. What it says is added to a file; none that it writes is longer than the limit (bytes)."""
        request = {"words": words, "folder": str(folder), "log": str(log), "env": env, "file_limit": file_limit}
        return self._ask(request)

    def wait(self, process: int) -> int:
        """The exit status of a process; negative: the signal that killed it."""
        return self._ask(process)

    def run(self, words: list[str], folder: Path, **env: str) -> tuple[int, str]:
        """Exit status and what was said, of a command in a folder."""
        log = folder.with_name(f"{folder.name}.said")
        log.unlink(missing_ok=True)
        status = self.wait(self.start(words, folder, log, **env))
        return status, log.read_text(encoding="utf-8")

    def _ask(self, request: Any) -> int:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def served() -> Iterator[ForkServer]:
    """A server, which ends with the context."""
    line = [sys.executable, str(Path(__file__).with_name("fork_server.py"))]
    alone = {key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"}  # not this process's wandb
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=alone) as process:
        yield ForkServer(process)
        assert process.stdin
        process.stdin.close()
