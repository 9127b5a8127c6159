"""Loss curves are those the runs kept."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ushydra_lab.report.render import markdown
from ushydra_lab.report.sections.curves import draw, read, section
from ushydra_lab.results.collect import Collected
from ushydra_lab.runs.run import Run

from .. import fake_runs


def write_run(experiment: Path, variant: str, keys: dict[str, str]) -> Path:
    images = pd.DataFrame({"record": [0], "site": "c", "part": "test"})
    return fake_runs.write(experiment / "c" / "seed1" / variant, keys, images)


def stage(run: Path, method: str, key: str, name: str = "train") -> dict[str, object]:
    return {"run": Run(run), "stage": name, "key": key, "method": method, "held_out": "c", "fold": "c", "seed": 1}


def write_history(run: Path, name: str, offset: float, dice: bool = True) -> pd.DataFrame:
    values = {"epoch": range(4), "train/loss": 1 / np.arange(1, 5), "val/loss": offset + 1 / np.arange(1, 5)}
    table = pd.DataFrame(values | ({"val/dice_lost": [0.9, 0.5, 0.3, 0.2]} if dice else {}))
    (run / "history").mkdir(parents=True, exist_ok=True)
    table.to_csv(run / "history" / f"{name}.csv", index=False)
    return table


@pytest.fixture
def stages(tmp_path: Path) -> pd.DataFrame:
    """Two runs of a method of their own, which share a first stage."""
    rows = []
    for number, name in enumerate(("a", "b")):
        run = write_run(tmp_path / "exp", name, {"pretrain": "same", "train": name})
        write_history(run, "pretrain", 0)
        write_history(run, "train", 0.1 * number)
        rows += [stage(run, "pretrain", "same", "pretrain"), stage(run, f"train {name}", name)]
    return pd.DataFrame(rows)


def test_a_stage_that_runs_share_is_one_line_and_every_run_another(stages: pd.DataFrame) -> None:
    histories = read(stages)
    assert histories.groupby("stage")["line"].nunique().to_dict() == {"pretrain": 1, "train": 2}
    _, _, losses, dice = draw(histories).axes
    assert len(losses.lines) == 4
    assert len(dice.lines) == 2
    np.testing.assert_allclose(dice.lines[0].get_ydata(), [0.1, 0.5, 0.7, 0.8])
    np.testing.assert_allclose(losses.lines[3].get_ydata(), 0.1 + 1 / np.arange(1, 5))
    assert dice.lines[0].get_xdata()[0] == 1


def test_training_is_dashed_validation_solid_and_a_method_one_colour(stages: pd.DataFrame) -> None:
    losses = draw(read(stages)).axes[2]
    assert [line.get_linestyle() for line in losses.lines] == ["--", "-"] * 2
    colours = [line.get_color() for line in losses.lines]
    assert colours[0] == colours[1] != colours[2] == colours[3]


def test_other_systems_have_losses_alone_and_runs_without_curves_add_nothing(tmp_path: Path) -> None:
    run, bare = (write_run(tmp_path / "exp", name, {"train": name}) for name in ("run", "bare"))
    write_history(run, "train", 0, dice=False)
    found = pd.DataFrame([stage(run, "train", "run")])
    assert len(draw(read(found)).axes) == 1
    texts = section(Collected(pd.DataFrame(), found, {}), tmp_path / "report")
    assert "![Loss curves](<curves.png>)" in markdown.render(texts)
    assert "Dice" not in markdown.render(texts)
    assert {f.name for f in (tmp_path / "report").iterdir()} == {"curves.png", "curves.pdf"}
    nothing = pd.DataFrame([stage(bare, "train", "bare")])
    assert section(Collected(pd.DataFrame(), nothing, {}), tmp_path / "none") == []


def test_the_caption_says_what_the_dice_is_where_it_is_drawn(stages: pd.DataFrame, tmp_path: Path) -> None:
    assert "validation Dice" in markdown.render(section(Collected(pd.DataFrame(), stages, {}), tmp_path / "report"))


@pytest.mark.usefixtures("whole_pictures")
def test_the_same_curves_are_the_same_bytes(stages: pd.DataFrame, tmp_path: Path) -> None:
    for folder in ("first", "second"):
        section(Collected(pd.DataFrame(), stages, {}), tmp_path / folder)
    for suffix in ("png", "pdf"):
        first, second = ((tmp_path / folder / f"curves.{suffix}").read_bytes() for folder in ("first", "second"))
        assert first == second
