"""Runs the command line in forked processes on request: tests can start and kill it without waiting for imports.

Standard input: a JSON line {"words": [...], "folder": where, "log": file, "env": {...}, "file_limit": bytes} starts a
command and answers its process id; a process id waits for it and answers its exit status (negative: the signal that
killed it).
"""

import gc
import json
import os
import resource
import sys
from typing import Any

from tests.cli import status
from tests.little import draw_little
from ushydra_lab import experiment  # noqa: F401  imported by every job
from ushydra_lab.report import build as report  # noqa: F401  and after every sweep


def run(request: dict[str, Any]) -> None:
    log = os.open(request["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    sys.path.insert(0, request["folder"])  # as `python -m` does
    if limit := request["file_limit"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    code = status(*request["words"])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if isinstance(request, int):
            answer = os.waitstatus_to_exitcode(os.waitpid(request, 0)[1])
        elif (answer := os.fork()) == 0:
            run(request)
        print(answer, flush=True)


if __name__ == "__main__":
    gc.freeze()
    gc.set_threshold(50_000)
    draw_little()
    main()
