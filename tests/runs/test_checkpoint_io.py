"""A checkpoint is whole or not there, and is read only if it is one; when the state of a training is written."""

from pathlib import Path
from zipfile import ZipFile

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ushydra_lab.files import DamagedFile
from ushydra_lab.runs import checkpoint_io
from ushydra_lab.runs.checkpoint_io import (
    AtomicCheckpointIO,
    LatestCheckpoint,
    StageCheckpoint,
    damage,
    read_checkpoint,
    write_checkpoint,
)
from ushydra_lab.training.assembly import quieten_lightning

CONTENT = {"state_dict": {"w": torch.arange(600.0)}, "epoch": 3}


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "best.ckpt", CONTENT)
    return tmp_path / "best.ckpt"


def test_what_was_written_is_read_and_leaves_no_other_file(whole: Path) -> None:
    found = read_checkpoint(whole)
    assert found["epoch"] == 3
    assert torch.equal(found["state_dict"]["w"], CONTENT["state_dict"]["w"])
    assert damage(whole) is None
    assert [file.name for file in whole.parent.iterdir()] == ["best.ckpt"]


def test_the_same_content_is_the_same_bytes_in_any_folder(whole: Path, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "another name.ckpt", CONTENT)
    assert (tmp_path / "another name.ckpt").read_bytes() == whole.read_bytes()


def test_a_writer_that_fails_leaves_the_file_before(whole: Path) -> None:
    with pytest.raises(AttributeError):
        write_checkpoint(whole, {"state_dict": lambda: 0})  # cannot be stored
    assert read_checkpoint(whole)["epoch"] == 3


def test_one_flipped_bit_of_a_weight_is_found(whole: Path) -> None:
    content = bytearray(whole.read_bytes())
    with ZipFile(whole) as archive:
        (member,) = (one for one in archive.infolist() if one.filename.endswith("data/0"))
    content[member.header_offset + 1000] ^= 1
    whole.write_bytes(content)
    assert "data/0 is not as it was written" in str(damage(whole))
    with pytest.raises(DamagedFile, match=r"best\.ckpt is damaged .*Remove"):
        read_checkpoint(whole)


@pytest.mark.parametrize("content", [{}, [1], {"state_dict": {}}, {"state_dict": [], "epoch": 1}, {"epoch": 1}])
def test_what_holds_no_weights_and_epoch_is_no_checkpoint(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(DamagedFile, match="is no checkpoint"):
        read_checkpoint(tmp_path / "x.ckpt")


def test_nothing_but_tensors_and_plain_values_is_read(tmp_path: Path) -> None:
    torch.save({**CONTENT, "more": Path("a")}, tmp_path / "x.ckpt")
    with pytest.raises(DamagedFile, match="is damaged or no checkpoint"):
        read_checkpoint(tmp_path / "x.ckpt")


def test_the_best_epoch_is_found_in_the_folder_it_was_moved_to(tmp_path: Path) -> None:
    state = {
        "dirpath": "/elsewhere", "best_model_path": "/elsewhere/best.ckpt", "kth_best_model_path": "",
        "last_model_path": "/elsewhere/last.ckpt", "best_k_models": {"/elsewhere/best.ckpt": torch.tensor(0.5)},
        "best_model_score": torch.tensor(0.5), "current_score": torch.tensor(0.5), "kth_value": torch.tensor(0.5),
        "monitor": "val/loss",
    }  # fmt: skip
    callback = StageCheckpoint(dirpath=tmp_path, monitor="val/loss")
    callback.load_state_dict(state)
    assert callback.best_model_path == str(tmp_path / "best.ckpt")
    assert callback.last_model_path == str(tmp_path / "last.ckpt")
    assert callback.kth_best_model_path == ""
    assert list(callback.best_k_models) == [str(tmp_path / "best.ckpt")]


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


def test_where_another_process_has_to_write_this_one_does_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing takes all processes that train together; the other one's time has always passed."""
    monkeypatch.setattr(SingleDeviceStrategy, "reduce_boolean_decision", lambda _, own, all=True: own or not all)
    assert written(tmp_path, monkeypatch) == [0, 1, 2, 3, 4]
