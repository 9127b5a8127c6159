"""A network whose job fails, or is killed, as the environment says; imported by the jobs of test_survival alone."""

import os
import signal
from typing import Any

import torch
from torch import Tensor, nn

from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder
from ushydra_lab.runs import checkpoint_io
from ushydra_lab.sweep import jobs


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


if "REPORT" not in os.environ:
    jobs.report = lambda _: None  # a third of the time of such a sweep
checkpoint_io.EVERY_S = float(os.environ.get("EVERY_S", 0))
if "DIE_WRITING" in os.environ:
    die_writing(int(os.environ["DIE_WRITING"]))
