"""When the state of a training is written."""

from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ushydra_lab.runs import checkpoint_io
from ushydra_lab.runs.checkpoint_io import AtomicCheckpointIO, LatestCheckpoint
from ushydra_lab.training.assembly import quieten_lightning


class Line(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        return self.layer(batch).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


class Stop(Callback):
    """Stops after an epoch, as early stopping does."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or trainer.current_epoch == self.epoch


def written(folder: Path, monkeypatch: pytest.MonkeyPatch, *more: Callback) -> list[int]:
    """The epochs, of at most five, whose state is written."""
    epochs: list[int] = []
    monkeypatch.setattr(
        AtomicCheckpointIO, "save_checkpoint", lambda _, content, *__, **___: epochs.append(content["epoch"])
    )
    quieten_lightning()
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=5, logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[*more, LatestCheckpoint(folder)], plugins=[AtomicCheckpointIO()],
    )  # fmt: skip
    trainer.fit(Line(), DataLoader(torch.ones(2, 1)))
    return epochs


def test_short_epochs_are_written_at_first_and_at_last_and_when_the_time_has_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert written(tmp_path, monkeypatch) == [0, 4]
    assert written(tmp_path, monkeypatch, Stop(2)) == [0, 2]
    seconds = iter([0, 50, 100, 110, 170])  # of each epoch's end; every write asks again
    now = [0.0]
    monkeypatch.setattr(Stop, "on_train_epoch_end", lambda *_: now.__setitem__(0, next(seconds)))
    monkeypatch.setattr(checkpoint_io.time, "monotonic", lambda: now[0])
    assert written(tmp_path, monkeypatch, Stop(9)) == [0, 2, 4]
    monkeypatch.setattr(checkpoint_io, "EVERY_S", 0.0)
    seconds = iter(range(5))
    assert written(tmp_path, monkeypatch, Stop(9)) == [0, 1, 2, 3, 4]
