"""What a sweep does when its jobs have ended."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ushydra_lab.files import write_json
from ushydra_lab.runs.ledger import JobState
from ushydra_lab.runs.summary import FINISHED, RUNNING
from ushydra_lab.sweep import callback
from ushydra_lab.sweep.callback import Sweep

WHOLE = {"status": "finished", "seed": 1, "stages": {"train": {"key": "k"}}, "files": {}}


def test_a_sweep_over_two_experiments_ends_with_the_tables_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep, reported = Sweep(), []
    monkeypatch.setattr("ushydra_lab.sweep.jobs.report", reported.append)
    for name, variant in (("hydra_vit", "vit"), ("hydra_unet", "unet"), ("hydra_vit", "resnet18")):
        sweep.jobs.append(tmp_path / name / "unseen" / "seed1" / variant)
        write_json(sweep.jobs[-1] / "run.json", WHOLE | {"variant": variant})
    sweep.on_multirun_end(OmegaConf.create())
    assert reported == [tmp_path / "hydra_vit", tmp_path / "hydra_unet"]
    shown = capsys.readouterr().out
    assert "2 jobs: 2 finished" in shown
    assert "1 job: 1 finished" in shown


def test_a_job_that_another_process_runs_is_named_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep, seen = Sweep(), iter([RUNNING, RUNNING, FINISHED])
    sweep.jobs = [tmp_path / "own", tmp_path / "other"]
    monkeypatch.setattr(
        callback, "job_state", lambda run, _: JobState(run, next(seen) if run.path.name == "other" else FINISHED)
    )
    monkeypatch.setattr(callback.time, "sleep", lambda _: None)
    assert [one.state for one in sweep._settled()] == [FINISHED, FINISHED]
    assert f"Another process is running {tmp_path / 'other'}; waiting for it." in capsys.readouterr().out
    sweep.jobs.pop()
    sweep._settled()
    assert not capsys.readouterr().out
