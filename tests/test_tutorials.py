"""The tutorials of docs/, typed as they stand, with tiny settings. That of an own system: tests/test_own_system.py."""

import re
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests import small_systems
from tests.report import small_experiments
from tests.report.test_same_tables import fast
from tests.test_api import lines_of_the_readme
from tests.tutorials import commands_of, text_of, write_files
from ushydra_lab.config.validation import check
from ushydra_lab.errors import UserError
from ushydra_lab.report.build import report
from ushydra_lab.training.assembly import rehearse
from ushydra_lab.training.stage_tasks import build_task

BOX = ["image", "pixel_mm", "nt_x1", "nt_y1", "nt_x2", "nt_y2"]


@pytest.fixture(scope="module")
def own_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images of three hospitals, images.csv and, of images to be measured, new.csv."""
    folder = tmp_path_factory.mktemp("own")
    manifest = small_systems.write_images("nt_phase2", folder)
    table = pd.read_csv(manifest).replace({"site": {"hospital_c": "st_anna"}})
    table["image"] = [(manifest.parent / name).relative_to(folder) for name in table["image"]]
    table.to_csv(folder / "images.csv", index=False)
    table.loc[:4, BOX].to_csv(folder / "new.csv", index=False)
    return folder


def typed(command: list[str]) -> int:
    status: int = import_module(f"ushydra_lab.commands.{command[0]}").main(command[1:])
    return status


@pytest.fixture(scope="module")
def trained(own_images: Path) -> Path:
    """The same folder, with the run of the tutorial's training command."""
    (words,) = (one for one in commands_of("tutorial_own_images") if one[0].startswith("+"))
    small = small_systems.words("nt_phase2", own_images / "images.csv", own_images / "multirun", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(own_images)
        run = small_systems.train([*small, *words[1:]])
    assert run.relative_to(own_images) == Path("multirun/nt_phase2/st_anna/seed1000/roi")
    return own_images


@pytest.mark.slow
def test_one_s_own_images_are_checked_trained_on_and_measured(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    looked, _, listed, predicted = commands_of("tutorial_own_images")
    assert typed(looked) == 0
    assert typed(listed) == 0
    assert "1 finished" in capsys.readouterr().out
    assert typed([*predicted, "--device", "cpu"]) == 0
    measured = pd.read_csv(trained / "measured" / "predictions.csv")
    assert list(measured["image"]) == list(pd.read_csv("new.csv")["image"])
    assert measured["status"].isin(["accept", "review", "refuse"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["README", "tutorial"])
def test_the_lines_of_python_measure_images_with_a_finished_run(
    trained: Path, place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    tutorial = re.findall(r"```python\n(.*?)```", text_of("tutorial_own_images"), re.DOTALL)[0]
    code = {"README": lines_of_the_readme()[0].replace("hospital_c", "st_anna"), "tutorial": tutorial}[place]
    exec(code.replace("images.csv", "new.csv"), {})
    rows = capsys.readouterr().out.splitlines()
    assert len([row for row in rows if re.match(r"\S+\.png (accept|review|refuse) \S+", row)]) == 5


def test_the_loss_is_checked_trusted_by_name_alone_and_learnt_from(
    own_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert write_files("tutorial_loss", tmp_path) == ["my_conf/loss/contrast.yaml", "my_loss.py"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (words,) = commands_of("tutorial_loss")
    assert words[0] == "--config-dir=my_conf"
    small = small_systems.words("nt_phase2", own_images / "images.csv", tmp_path, 1, "held_out=st_anna")
    job = [*small, *(word for word in words[2:] if not word.startswith(("seed=", "loss="))), "loss=contrast"]
    searched = [*job, f"hydra.searchpath=[file://{tmp_path}/my_conf]"]
    with pytest.raises(UserError, match="my_loss"):
        check(small_systems.composed([word for word in searched if not word.startswith("trust=")]))
    experiment = check(small_systems.composed(searched))
    data = rehearse(experiment)
    assert experiment.variant == "contrast"
    task = build_task(experiment, "phase2")
    losses = task.losses(next(iter(data.train_dataloader())))
    assert {"global", "roi_l1", "contrast"} <= set(losses)
    losses["contrast"].backward()
    assert any(torch.count_nonzero(p.grad) for p in task.parameters() if p.grad is not None)


def test_a_report_has_what_the_tutorial_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast(monkeypatch)
    small_experiments.nt_phase2(tmp_path / "nt_phase2")
    report(tmp_path / "nt_phase2")
    page = (tmp_path / "nt_phase2" / "report" / "index.html").read_text(encoding="utf-8")
    told = re.findall(r"\*\*(.+?)\*\*", text_of("tutorial_report").partition("## ")[0].partition("\n1. ")[2])
    titles = [title.lower() for title in re.findall(r"<h\d[^>]*>(.*?)</h\d>", page)]
    assert len(told) > 7
    assert [one for one in told if not any(title.startswith(one.lower()) for title in titles)] == []
    order = [next(n for n, title in enumerate(titles) if title.startswith(one.lower())) for one in told]
    assert order == sorted(order)
