"""An evaluation ends when it is told to."""

import os
import signal
from types import SimpleNamespace

import pytest
import torch
from lightning import LightningModule
from torch.utils.data import DataLoader

from ushydra_lab.evaluation.per_image import evaluate_stages


class Counting(LightningModule):
    """Is told to stop at its second batch."""

    answered = 0

    def predict_step(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        self.answered += 1
        if self.answered == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return {"record": batch}


def test_sigterm_ends_an_evaluation_at_its_next_batch() -> None:
    experiment = SimpleNamespace(trainer={"_target_": "lightning.Trainer", "devices": 1, "accelerator": "cpu"})
    data = SimpleNamespace(parts=["train", "test"], part_loader=lambda part: DataLoader(torch.arange(8), 1))
    task, handlers = Counting(), {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        with pytest.raises(KeyboardInterrupt):
            evaluate_stages(experiment, {"train": task}, data)  # type: ignore[arg-type, dict-item]
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert task.answered == 2
