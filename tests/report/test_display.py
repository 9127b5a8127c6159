"""What a terminal cannot show, or a folder cannot hold: the files are written, or the command fails and says so."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf

from ushydra_lab.files import write_json
from ushydra_lab.report.render import html
from ushydra_lab.runs.run import Run
from ushydra_lab.sweep.callback import Sweep

from .. import fake_runs

SITE = "Zürich ≥ 北"


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    for variant, shift in (("plain", 0.0), ("better", 1.0)):
        for seed in (1, 2):
            records = range(12)
            rows = [{"part": "test", "record": k, "site": SITE, "psnr": 20.0 + k + shift + seed} for k in records]
            fake_runs.write(tmp_path / "exp" / SITE / f"seed{seed}" / variant, {"train": variant}, pd.DataFrame(rows))
    return tmp_path / "exp"


def run(folder: Path, *words: str, **env: str) -> "subprocess.CompletedProcess[bytes]":
    environment = {**{k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))}, **env}
    return subprocess.run([sys.executable, "-m", *words], cwd=folder, env=environment, capture_output=True, check=False)


DISPLAYS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "ascii:strict": {"PYTHONIOENCODING": "ascii:strict"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "C": {"LANG": "C", "LC_ALL": "C"},
}


@pytest.mark.parametrize("display", DISPLAYS)
def test_a_display_that_lacks_a_character_prevents_no_file(experiment: Path, tmp_path: Path, display: str) -> None:
    done = run(tmp_path, "ushydra_lab", "report", "exp", **DISPLAYS[display])
    assert done.returncode == 0, done.stderr.decode()
    tables = (experiment / "report" / "tables.md").read_text(encoding="utf-8")
    assert SITE in tables
    assert "±" in tables
    assert SITE in (experiment / "report" / "index.html").read_text(encoding="utf-8")


def test_the_ledger_and_the_check_speak_to_any_display(experiment: Path, tmp_path: Path) -> None:
    ledger = run(tmp_path, "ushydra_lab", "runs", "exp", PYTHONIOENCODING="ascii")
    assert b"4 jobs" in ledger.stdout, ledger.stderr.decode()
    (tmp_path / "b.csv").write_text(f"image,site,subject\nmissing.png,{SITE},ä\n", encoding="utf-8")
    check = run(tmp_path, "ushydra_lab", "check", "b.csv", PYTHONIOENCODING="ascii")
    assert check.returncode == 1
    assert b"Traceback" not in check.stderr
    assert (tmp_path / "multirun" / "check" / "b" / "index.html").exists()


def test_tables_that_cannot_be_written_are_status_1(experiment: Path, tmp_path: Path) -> None:
    (experiment / "report").touch()  # where the folder should be
    done = run(tmp_path, "ushydra_lab", "report", "exp")
    assert done.returncode == 1
    assert b"Cannot write below exp/report: part of it is a file" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("reason", [(28, "no space is left"), (30, "it is read-only"), (13, "it may not be written")])
def test_a_full_or_read_only_folder_is_named_and_ends_a_sweep_with_status_1(
    experiment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reason: tuple[int, str]
) -> None:
    for path in experiment.rglob("run.json"):
        summary = Run(path.parent).summary
        whole = {"status": "finished", "seed": 1, "variant": summary.variant, "stages": {"train": {"key": "k"}}}
        write_json(path, whole | {"files": {}})

    def refuse(*_: object) -> None:
        raise OSError(reason[0], os.strerror(reason[0]))

    monkeypatch.setattr(html, "write_text", refuse)
    sweep = Sweep()
    sweep.jobs = [path.parent for path in experiment.rglob("run.json")]
    with pytest.raises(SystemExit) as left:
        sweep.on_multirun_end(OmegaConf.create())
    assert left.value.code == 1
    assert f"report: {reason[1]}" in capsys.readouterr().err
