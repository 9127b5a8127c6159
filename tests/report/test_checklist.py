"""The reporting checklists name what a report has and leave open what it cannot know."""

from pathlib import Path

import pandas as pd
import pytest

from ushydra_lab.config.schema import Claim
from ushydra_lab.files import write_json
from ushydra_lab.report.sections.checklist import ITEMS, OPEN, answers, filled, section
from ushydra_lab.results.collect import collect

from .small_experiments import EXPERIMENTS


@pytest.fixture
def items() -> pd.DataFrame:
    return pd.read_csv(ITEMS, dtype=str, keep_default_na=False)


def test_the_lists_have_every_item_of_the_originals_once(items: pd.DataFrame) -> None:
    claim, tripod = (items.loc[items["list"] == name, "item"].tolist() for name in ("CLAIM", "TRIPOD+AI"))
    assert claim == [str(number) for number in range(1, 45)]
    assert len(tripod) == len(set(tripod)) == 52
    assert {int(item.rstrip("abcdefg")) for item in tripod} == set(range(1, 28))


def test_every_answer_names_a_section_that_is_there_and_the_rest_is_open(items: pd.DataFrame, tmp_path: Path) -> None:
    EXPERIMENTS["hydra_vit"](tmp_path / "hydra_vit")
    collected = collect(tmp_path / "hydra_vit")
    found = answers(collected, tmp_path / "hydra_vit")
    assert {"calibration", "external", "confusion"} <= set(found)
    assert "subgroups" not in found
    table = filled(items, found).set_index("item")
    assert table.loc["44", "answered in"] == OPEN, "funding is the authors' to tell"
    assert table.loc["23", "answered in"] == "Versions"
    grouped = collected.images.assign(group_machine="GE")
    with_groups = filled(items, answers(type(collected)(grouped, collected.stages, {}), tmp_path))
    assert with_groups.set_index("item").loc["14"].isin(["Subgroups"]).any(axis=None)
    section(collected, tmp_path / "hydra_vit" / "report")
    text = (tmp_path / "hydra_vit" / "report" / "reporting_checklist.md").read_text()
    assert text.count(f"| {OPEN} |") == (table["answered in"] == OPEN).sum() > 20


def test_keys_of_the_items_are_those_that_a_report_can_have(items: pd.DataFrame, tmp_path: Path) -> None:
    keys = {key for cell in items["answers"] for key in cell.split(";") if key}
    EXPERIMENTS["nt_phase2"](tmp_path / "nt_phase2")
    known = set(answers(collect(tmp_path / "nt_phase2"), tmp_path / "nt_phase2"))
    assert known <= keys


def test_a_claim_of_the_plan_answers_the_items_on_aims_and_sample_size(items: pd.DataFrame, tmp_path: Path) -> None:
    root = tmp_path / "nt_phase2"
    EXPERIMENTS["nt_phase2"](root)
    assert "claim" not in answers(collect(root), root)
    (root / "plan.json").write_text("{")
    assert "claim" not in answers(collect(root), root), "damaged"
    plan = {
        "written": "2026-01-02T03:04:05+0000",
        "variants": ["roi"],
        "held_out": ["clara"],
        "seeds": [1],
        "finished": 0,
    }
    write_json(root / "plan.json", {"plans": [plan | {"claim": Claim("roi_mae", "global").as_dict()}]})
    table = filled(items, answers(collect(root), root)).set_index([items["list"], "item"])["answered in"]
    assert "The claim" in table["CLAIM", "21"]
    assert "The claim" in table["TRIPOD+AI", "4"]
