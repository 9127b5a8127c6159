"""The curves of a stage: a row for each epoch, kept through interruptions, and now and then a line of the log."""

import logging
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

from ushydra_lab.losses.weighting import FixedWeights
from ushydra_lab.tasks.reconstruction import Reconstruction
from ushydra_lab.training.callbacks import history
from ushydra_lab.training.callbacks.history import History, still_falling


@pytest.fixture
def task() -> Reconstruction:
    terms = {"global": torch.nn.functional.l1_loss}
    return Reconstruction(nn.Conv2d(1, 1, 1), None, terms, weighting=lambda names: FixedWeights(names, [2.0]))  # type: ignore[arg-type]


def trainer(epoch: int = 0, last: int = 9, first: bool = True, loss: float = 0.25) -> Any:
    metrics = {"train/loss": torch.tensor(0.5), "val/loss": torch.tensor(loss)}
    told = {"callback_metrics": metrics, "current_epoch": epoch, "max_epochs": last, "is_global_zero": first}
    return SimpleNamespace(**told, should_stop=False)


def test_each_epoch_is_a_row_with_its_losses_and_weights(tmp_path: Path, task: Reconstruction) -> None:
    published: list[list[dict[str, float]]] = []
    curves = History(tmp_path / "history.csv", "phase1", lambda stage, rows: published.append([*rows]))
    curves.on_train_start(trainer(), task)
    for epoch in range(2):
        curves.on_train_epoch_end(trainer(epoch), task)
    expected = {"epoch": [0, 1], "train/loss": [0.5] * 2, "val/loss": [0.25] * 2, "weight/global": [2.0] * 2}
    assert pd.read_csv(tmp_path / "history.csv").to_dict("list") == expected
    assert [len(rows) for rows in published] == [0, 1, 2]


def test_only_the_first_of_several_processes_writes_and_publishes(tmp_path: Path, task: Reconstruction) -> None:
    published: list[str] = []
    other = pickle.loads(pickle.dumps(History(tmp_path / "history.csv", "phase1").__getstate__() | {"publish": None}))
    assert other["stage"] == "phase1"
    History(tmp_path / "x", "phase1", lambda *_: published.append("")).__getstate__()["publish"]("phase1", [])
    assert published == []
    History(tmp_path / "history.csv", "phase1").on_train_epoch_end(trainer(first=False), task)
    assert not (tmp_path / "history.csv").exists()


def test_a_resumed_stage_goes_on_with_its_rows_and_stays_stopped(tmp_path: Path, task: Reconstruction) -> None:
    before = History(tmp_path / "history.csv", "phase1")
    assert before.state_dict() == {"rows": [], "stopped": False}
    early = trainer()
    before.on_train_start(early, task)
    before.on_train_epoch_end(early, task)
    assert before.state_dict()["stopped"] is False
    early.should_stop = True  # as early stopping decides after all other callbacks
    after, again = History(tmp_path / "history.csv", "phase1"), trainer(1)
    after.load_state_dict(before.state_dict())
    after.on_train_start(again, task)
    assert again.should_stop
    after.on_train_epoch_end(again, task)
    assert pd.read_csv(tmp_path / "history.csv")["epoch"].tolist() == [0, 1]


def test_the_log_is_quiet_but_for_the_last_epoch(
    tmp_path: Path, task: Reconstruction, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(history.time, "monotonic", lambda: clock.now)
    curves = History(tmp_path / "history.csv", "phase1", quiet_s=15)
    with caplog.at_level(logging.INFO):
        for epoch, now in enumerate((110, 115, 116, 120, 130, 131.5, 132)):
            clock.now = now
            curves.on_train_epoch_end(trainer(epoch, 7), task)
    assert [record.message.split("  ")[1] for record in caplog.records] == [
        "epoch 3 of at most 7", "epoch 6 of at most 7", "epoch 7 of at most 7",
    ]  # fmt: skip
    assert caplog.records[0].message == "phase1  epoch 3 of at most 7  train/loss 0.50000  val/loss 0.25000"


def test_a_loss_that_still_falls_at_the_last_epoch_is_told(
    tmp_path: Path, task: Reconstruction, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for name, step in (("falling", 1.0), ("level", 0.02)):
            curves = History(tmp_path / f"{name}.csv", name)
            for epoch in range(10):
                curves.on_train_epoch_end(trainer(epoch, 10, loss=20 - step * epoch), task)
    (told,) = [record.message for record in caplog.records if "unfinished" in record.message]
    assert told.startswith("falling ends unfinished: in the last fifth of its epochs the validation loss fell by 15 %")
    assert "stages.falling.max_epochs" in told


def test_the_fall_is_of_the_means_of_two_fifths() -> None:
    assert still_falling([9.0] * 6 + [4.0, 2.0, 1.0, 2.0]) == 0.5
    assert still_falling([9.0, 1.0, 1.0, 1.0]) == 0.0, "of fewer than five epochs nothing is said"
    assert still_falling([1.0] * 5 + [2.0] * 5) == 0.0
    assert still_falling([-1.0] * 10) == 0.0
