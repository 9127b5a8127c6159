"""The wandb dashboard of an experiment, as it would be published."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ushydra_lab.errors import UserError
from ushydra_lab.files import write_text
from ushydra_lab.training.dashboard import Logged, build, logged, publish

from .. import fake_runs
from ..cli import status

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of wandb-workspaces
KEYS = Logged(
    "study", ["phase1/val/loss", "phase1/val/psnr"], {"b": ["final/phase1/test/b/psnr"]}, ["final/phase1/weight/global"]
)


def run(root: Path, held_out: str, variant: str, status: str = "finished") -> None:
    path = root / "study" / held_out / "seed1" / variant
    sites = {"record": [0, 1], "site": [held_out, "other"], "part": ["test", "val"]}
    images = pd.DataFrame(sites | {"psnr": [20, 30], "nt_mm": [None, 1]})
    weights = {"global": 1.0} if variant == "plain" else {"global": 1.0, "roi": 2.0}
    stages = {"phase1": {"key": variant, "loss_weights": weights}}
    fake_runs.write(path, stages, images, name="study", status=status)
    write_text(
        path / "history" / "phase1.csv", "epoch,train/loss,train/global,val/loss,val/global,val/psnr\n0,1,1,1,1,20\n"
    )


def test_what_to_show_is_read_from_the_finished_runs(tmp_path: Path) -> None:
    run(tmp_path, "a", "plain")
    run(tmp_path, "b", "roi")
    run(tmp_path, "c", "roi", status="failed")
    assert logged(tmp_path / "study") == Logged(
        "study",
        ["phase1/train/loss", "phase1/val/loss", "phase1/val/psnr"],
        {"a": ["final/phase1/test/a/psnr"], "b": ["final/phase1/test/b/psnr"]},
        ["final/phase1/weight/global", "final/phase1/weight/roi"],
    )


def test_one_run_is_enough(tmp_path: Path) -> None:
    run(tmp_path, "a", "plain")
    assert logged(tmp_path / "study").experiment == "study"


def test_a_directory_without_a_finished_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No finished run below"):
        logged(tmp_path)


def specification() -> dict[str, Any]:
    content: dict[str, Any] = build("me", "project", KEYS)._spec
    return content


def test_the_dashboard_has_curves_seeds_ablation_bars_and_panels() -> None:
    content = specification()
    sections = {item["name"]: item["panels"] for item in content["spec"]["section"]["panelBankConfig"]["sections"]}
    assert (content["entity"], content["displayName"]) == ("me", "study")
    drawn = {name: [panel["config"] for panel in panels] for name, panels in sections.items()}
    for name, group in (("Curves by hospital held out", "site.value"), ("Curves by variant", "variant.value")):
        assert [(p["metrics"], p["xAxis"], p["groupBy"]) for p in drawn[name]] == [
            ([curve], "phase1/epoch", group) for curve in KEYS.curves
        ]
    assert [p["metrics"] for p in drawn["Seeds"]] == [[curve] for curve in KEYS.curves]
    assert not any("groupBy" in panel for panel in drawn["Seeds"])
    (bar,) = drawn["Ablation, b"]
    assert bar["metrics"] == ["final/phase1/test/b/psnr"]
    assert (bar["groupBy"], bar["groupAgg"], bar["groupArea"]) == ("variant.value", "mean", "stddev")
    media = [panel["mediaKeys"] for panel in drawn["Panels and per-image table"]]
    assert media == [["panels/test"], ["panels/val"], ["per_image"]]


def test_it_shows_only_the_runs_of_its_experiment() -> None:
    runs = json.dumps(specification()["spec"]["section"]["runSets"])
    assert '"study"' in runs
    assert "name" in runs


def test_who_is_not_logged_in_is_told_so() -> None:
    class Workspace:
        entity, project = "me", "project"

        def save(self) -> None:
            raise ValueError("No API key")

    with pytest.raises(UserError, match="wandb login"):
        publish(Workspace())


@pytest.mark.parametrize("where", ["project", "me/project/run", "/project"])
def test_the_command_says_how_to_name_a_project(where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("dashboard", where, str(tmp_path)) == 1
    said = capsys.readouterr().err
    assert "ENTITY/PROJECT" in said
    assert "Traceback" not in said
