"""Runs the command line in forked processes on request: tests can kill it often without waiting for imports.

Standard input: a JSON line {"arguments": [...], "log": file, "env": {...}, "file_limit": bytes} starts a command and
answers its process id; a process id waits for it and answers its exit status (negative: the signal that killed it).
"""

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ushydra_lab import __main__ as command
from ushydra_lab import experiment  # noqa: F401  imported by every job
from ushydra_lab.evaluation import pictures
from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder
from ushydra_lab.report import build as report  # noqa: F401  and after every sweep
from ushydra_lab.runs import checkpoint_io


class Breakable(ConvAutoencoder):
    """With dropout; in the job of seed BREAK_SEED it fails in the way of BREAK."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.dropout = nn.Dropout(0.1)
        self.broken = os.environ.get("BREAK") if os.environ.get("BREAK_SEED") == str(torch.initial_seed()) else None

    def decode(self, source: Tensor, shape: tuple[int, int] | None = None) -> Tensor:
        if self.broken == "error":
            raise RuntimeError("the cable was pulled")
        reconstruction = self.dropout(super().decode(source, shape))
        return reconstruction * torch.nan if self.broken == "nan" else reconstruction


def die_writing(checkpoint: int) -> None:
    """Let the process be killed when half of its nth checkpoint is on disk."""
    written, save = [0], torch.save

    def half(content: Any, file: Any) -> None:
        save(content, file)
        written[0] += 1
        if written[0] == checkpoint:
            file.truncate(file.tell() // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoint_io.torch.save = half  # type: ignore[attr-defined]


def run(request: dict[str, Any]) -> None:
    log = os.open(request["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(request["env"])
    checkpoint_io.EVERY_S = float(os.environ.get("EVERY_S", 0))
    if limit := request["file_limit"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if checkpoint := int(os.environ.get("DIE_WRITING", 0)):
        die_writing(checkpoint)
    sys.argv = ["ushydra_lab", *request["arguments"]]
    code = 0
    try:
        command.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else bool(end.code)
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
    sys.path.insert(0, str(Path(__file__).parent))
    pictures.EXTREMES = dict.fromkeys(pictures.EXTREMES, 1)  # drawing is most of the time of a training of seconds
    main()
