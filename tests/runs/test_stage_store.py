"""A stage is found again only as it was finished, with the weights of the epoch that is asked for."""

import logging
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from ushydra_lab.config.schema import Epoch
from ushydra_lab.files import DamagedFile, read_json, write_csv, write_json
from ushydra_lab.runs.checkpoint_io import read_checkpoint, write_checkpoint
from ushydra_lab.runs.stage_store import StageFolder, open_stage
from ushydra_lab.runs.summary import StageSummary

SUMMARY = StageSummary("0123", epochs=3, selected_by="val/loss", selected_epoch=2, score=0.25)


def trained(folder: Path) -> StageFolder:
    """As training leaves a stage of three epochs, of which the second is the best."""
    for name, value in (("best.ckpt", 2.0), ("last.ckpt", 3.0)):
        state = {"state_dict": {"w": torch.tensor(value)}, "epoch": 1, "global_step": 9, "optimizer_states": [1]}
        write_checkpoint(folder / name, state | {"pytorch-lightning_version": "2"})
    write_csv(folder / "history.csv", pd.DataFrame({"epoch": range(3), "val/loss": [0.5, 0.25, 0.375]}))
    return StageFolder(folder)


@pytest.fixture
def stage(tmp_path: Path) -> StageFolder:
    (tmp_path / "0123").mkdir()
    return trained(tmp_path / "0123")


def weight(stage: StageFolder) -> float:
    return float(read_checkpoint(stage.weights)["state_dict"]["w"])


def test_a_finished_stage_gives_its_record_and_no_longer_its_training_state(stage: StageFolder) -> None:
    assert not stage.done
    stage.finish(SUMMARY, keep_last=False)
    assert stage.done
    assert stage.summary == SUMMARY
    assert sorted(file.name for file in stage.path.iterdir()) == ["best.ckpt", "history.csv", "stage.json"]


def test_the_last_epoch_s_weights_are_kept_beside_and_are_selected_by_nothing(stage: StageFolder) -> None:
    stage.finish(SUMMARY, keep_last=True)
    last = StageFolder(stage.path, Epoch.last)
    assert (weight(stage), weight(last)) == (2.0, 3.0)
    assert "optimizer_states" not in read_checkpoint(last.weights)
    assert last.summary == StageSummary("0123 last epoch", epochs=3, selected_by="", selected_epoch=3, score=0.375)
    assert stage.summary == SUMMARY


def test_where_the_last_epoch_is_the_best_both_are_one_file(stage: StageFolder) -> None:
    stage.finish(replace(SUMMARY, epochs=2), keep_last=True)
    assert StageFolder(stage.path, Epoch.last).weights.samefile(stage.weights)


def test_a_file_that_changed_is_named_with_the_remedy(stage: StageFolder) -> None:
    stage.finish(SUMMARY, keep_last=False)
    stage.history.write_text("epoch,val/loss\n0,0\n")
    with pytest.raises(DamagedFile, match=r"history\.csv is damaged.*the stage is trained again"):
        _ = stage.summary
    with pytest.raises(DamagedFile, match=r"stage\.json has no last_epoch\.ckpt"):
        _ = StageFolder(stage.path, Epoch.last).summary


def test_the_record_of_another_stage_is_damaged(stage: StageFolder) -> None:
    stage.finish(SUMMARY, keep_last=False)
    content = read_json(stage.path / "stage.json")
    write_json(stage.path / "stage.json", content | {"key": "4567"})
    with pytest.raises(DamagedFile, match="belongs to 4567"):
        _ = stage.summary
    write_json(stage.path / "stage.json", {"key": "0123"})
    with pytest.raises(DamagedFile, match=r"stage\.json is damaged \('files'\)"):
        _ = stage.summary


def test_training_goes_on_from_a_whole_state_alone(stage: StageFolder, caplog: pytest.LogCaptureFixture) -> None:
    assert stage.resume_point() == stage.resume
    stage.weights.write_bytes(stage.weights.read_bytes()[:-50])
    assert stage.resume_point() is None
    assert "best.ckpt is damaged" in caplog.text
    assert not stage.resume.exists()
    assert stage.resume_point() is None


def test_a_stage_s_folder_is_named_by_sixteen_characters_of_its_key_and_held_by_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = "0123456789abcdef" * 4
    left = tmp_path / key[:16] / ".best.ckpt.0123abcd"
    left.parent.mkdir()
    left.touch()
    with open_stage(tmp_path, key) as stage:
        assert stage.path == tmp_path / "0123456789abcdef"
        assert not left.exists()
    with caplog.at_level(logging.INFO), open_stage(tmp_path, key):
        assert "another process" not in caplog.text
