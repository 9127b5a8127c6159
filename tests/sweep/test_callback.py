"""What a sweep does when its jobs have ended."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ushydra_lab.files import write_json
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
