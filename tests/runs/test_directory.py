"""A job's directory holds one configuration, one process at a time, and always says what became of it."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ushydra_lab import __version__
from ushydra_lab.config.schema import Experiment
from ushydra_lab.errors import UserError
from ushydra_lab.files import DamagedFile, read_json, write_json, write_text
from ushydra_lab.runs.directory import SWEEP, Busy, RunDirectory, job_identity
from ushydra_lab.runs.ledger import job_state
from ushydra_lab.runs.stage_store import StageFolder
from ushydra_lab.runs.summary import StageSummary

TRIVIAL = Experiment(
    name="trivial", variant="v", seed=3, scale="laptop", held_out="b", deidentified=None, panel_images=1,
    run_root=".", cache_dir=".", cache_gb=1, canvas=[8, 8], batch_size=1, augment=None, data={"_target_": "a.b"},
    split={"held_out": "b"}, network={"width": 4}, trainer={}, logger={}, stages={},
)  # fmt: skip
SPLIT = pd.DataFrame({"record": [0], "image": ["0.png"], "site": ["b"], "subject": ["0"], "part": ["test"]})
IMAGES = pd.DataFrame({"stage": ["one"], "part": ["test"], "record": [0], "site": ["b"], "psnr": [30.0]})


def place(folder: Path) -> Path:
    return folder / "trivial" / "b" / "seed3" / "v"


@pytest.fixture
def finish(tmp_path: Path) -> Callable[[], RunDirectory]:
    """finish(): a job of one stage that has just ended."""
    stage = StageFolder(tmp_path / ".stages" / "0123")
    write_text(stage.weights, "weights")
    write_text(stage.history, "epoch,val/loss\n0,1\n")

    def ended() -> RunDirectory:
        directory = RunDirectory(place(tmp_path), TRIVIAL)
        with directory.lock(), directory.recording():
            directory.note(identity="mine", data="these")
            written = {"one": StageSummary("0123", 1, "val/loss", 1, 0.5)}
            directory.write_results(written, {"one": stage}, SPLIT, IMAGES, {"psnr": 30.0}, [])
        return RunDirectory(directory.path, TRIVIAL)

    return ended


def test_a_finished_job_has_its_files_their_sums_and_its_record(
    finish: Callable[[], RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SWEEP, "this sweep")
    directory = finish()
    summary, run = directory.run.summary, directory.run
    run.verify()
    assert (summary.status, summary.seed, summary.variant, summary.name) == ("finished", 3, "v", "trivial")
    assert (summary.identity, summary.sweep, summary.metrics) == ("mine", "this sweep", {"psnr": 30.0})
    assert summary.planned
    assert summary.started <= summary.ended
    files = ["checkpoints/one.ckpt", "config.yaml", "history/one.csv", "per_image.csv", "split.csv"]
    assert sorted(summary.files or {}) == files
    assert run.weights("one").read_text() == "weights"
    assert run.images["psnr"].tolist() == [30.0]
    assert directory.done
    assert directory.made_of("these")
    assert not directory.made_of("those")


def test_a_job_of_another_version_is_not_made_of_the_same(finish: Callable[[], RunDirectory]) -> None:
    file = finish().path / "run.json"
    content = read_json(file)
    assert content["versions"]["ushydra_lab"] == __version__
    write_json(file, content | {"versions": {"ushydra_lab": "0.3.0"}})
    assert not RunDirectory(file.parent, TRIVIAL).made_of("these")


def test_what_is_lost_is_made_again_and_what_is_edited_is_refused(
    finish: Callable[[], RunDirectory], caplog: pytest.LogCaptureFixture
) -> None:
    directory = finish()
    (directory.path / "per_image.csv").write_text("stage,record\n")
    with pytest.raises(DamagedFile, match=r"per_image\.csv is damaged"):
        _ = directory.done
    (directory.path / "per_image.csv").unlink()
    with caplog.at_level(logging.WARNING):
        assert not directory.done
    assert "lacks per_image.csv: made again" in caplog.text
    (directory.path / "run.json").unlink()
    assert not directory.done


def test_an_unfinished_job_is_not_done(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path, TRIVIAL)
    assert not directory.done
    with pytest.raises(KeyboardInterrupt), directory.recording():
        raise KeyboardInterrupt
    assert not directory.done


@pytest.mark.parametrize(
    ("error", "status", "said", "public"),
    [
        (UserError("/home/x is full", public="the disk is full"), "failed", "/home/x is full", "the disk is full"),
        (ValueError("of ours"), "failed", "ValueError: of ours", ""),
        (KeyboardInterrupt(), "interrupted", "", ""),
    ],
)
def test_why_a_job_ended_is_recorded(tmp_path: Path, error: BaseException, status: str, said: str, public: str) -> None:
    directory = RunDirectory(tmp_path, TRIVIAL)

    def job() -> None:
        with directory.recording():
            assert directory.run.summary.status == "running"
            raise error

    with pytest.raises(type(error)):
        job()
    summary = directory.run.summary
    assert (summary.status, summary.error, summary.public) == (status, said, public)
    assert summary.ended


def test_the_stage_that_is_trained_is_in_the_record_while_it_is(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path, TRIVIAL)
    with directory.recording():
        directory.note_progress({"stage": "one"})
        assert directory.run.summary.now == {"stage": "one"}
        directory.note(seed=3, stages={"one": {"key": "k"}}, files={})
    assert directory.run.summary.now == {}


def test_other_settings_are_refused_with_the_difference_and_another_folder_or_machine_is_none(
    finish: Callable[[], RunDirectory],
) -> None:
    directory = finish()
    directory.refuse_other_config()
    RunDirectory(directory.path, replace(TRIVIAL, cache_dir="/elsewhere")).refuse_other_config()
    other = RunDirectory(directory.path, replace(TRIVIAL, network={"width": 8}, batch_size=2))
    with pytest.raises(UserError, match=r"another configuration:(.|\n)*variant=NAME") as error:
        other.refuse_other_config()
    assert "network.width: 4 there, 8 now" in str(error.value)
    assert "batch_size: 1 there, 2 now" in str(error.value)
    with pytest.raises(UserError, match="seed: 3 there, 4 now"):
        RunDirectory(directory.path, replace(TRIVIAL, seed=4)).refuse_other_config()
    (directory.path / "run.json").unlink()  # as a process leaves it that was killed at its very start
    directory.refuse_other_config()
    with pytest.raises(UserError, match="4 there, 8 now"):
        other.refuse_other_config()


def test_settings_that_are_gone_are_not_taken_for_the_same(finish: Callable[[], RunDirectory]) -> None:
    directory = finish()
    (directory.path / "config.yaml").unlink()
    directory.refuse_other_config()
    with pytest.raises(UserError, match=r"its config\.yaml is gone.*variant=NAME"):
        RunDirectory(directory.path, replace(TRIVIAL, batch_size=2)).refuse_other_config()


def test_other_data_are_refused_and_the_sweep_that_had_them_is_noted(
    finish: Callable[[], RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = finish()
    directory.refuse_other_data("mine")
    monkeypatch.setenv(SWEEP, "later")
    refused = rf"other images, annotations .*\({__version__}\).*run_root=FOLDER"
    with pytest.raises(UserError, match=refused), directory.note_refusal():
        directory.refuse_other_data("yours")
    assert job_state(directory.run, "later").state == "failed"
    assert job_state(directory.run).state == "finished"
    directory.run.verify()


def test_a_later_word_on_burnt_in_names_is_kept(finish: Callable[[], RunDirectory]) -> None:
    directory = finish()
    for word in (True, None, True):
        later = RunDirectory(directory.path, replace(TRIVIAL, deidentified=word))
        later.declare()
        assert later.run.deidentified is (word is True)


def test_one_process_at_a_time_and_others_are_told(tmp_path: Path) -> None:
    first, second = RunDirectory(tmp_path, TRIVIAL), RunDirectory(tmp_path, TRIVIAL)
    with first.lock():
        with pytest.raises(Busy, match="another process is running this job"), second.lock():
            raise AssertionError("held twice")
        second.plan()
        assert not (tmp_path / "run.json").exists(), "who runs it says so itself"
    second.plan()
    planned = read_json(tmp_path / "run.json")
    assert planned["status"] == "planned"
    second.plan()
    assert read_json(tmp_path / "run.json") == planned


def test_identity_is_of_settings_seed_and_data_and_of_no_place() -> None:
    same = job_identity(TRIVIAL, "data")
    assert job_identity(replace(TRIVIAL, cache_dir="x", run_root="y"), "data") == same
    changes: list[dict[str, Any]] = [{"seed": 4}, {"network": {"width": 5}}, {"batch_size": 2}]
    others = [job_identity(replace(TRIVIAL, **change), "data") for change in changes]
    assert len({same, job_identity(TRIVIAL, "other"), *others}) == 5
