"""The runs of an experiment become one table: each image once, each run that is left out with its reason."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ushydra_lab.results.collect import collect
from ushydra_lab.runs.run import Run

from .. import fake_runs

IMAGES = pd.DataFrame({"record": [0, 1], "part": ["val", "test"], "site": ["a", "b"], "psnr": [30.0, 31.0]})
SPLIT = IMAGES[["record", "part", "site"]].assign(subject=["007", "008"], group_sex=["f", "m"])


def write(root: Path, place: str = "b/seed0/v", **more: Any) -> Run:
    given: dict[str, Any] = {"stages": {"train": place}, "images": IMAGES, "split": SPLIT} | more
    return Run(fake_runs.write(root / "exp" / place, **given))


def test_no_run_has_empty_tables_with_their_columns(tmp_path: Path) -> None:
    found = collect(tmp_path)
    assert found.images.empty
    assert found.stages.empty
    assert {"method", "record", "subject"} <= set(found.images)


def test_subjects_and_groups_come_from_the_split_as_texts(tmp_path: Path) -> None:
    write(tmp_path)
    found = collect(tmp_path / "exp")
    assert found.images["subject"].tolist() == ["007", "008"]
    assert found.images["group_sex"].tolist() == ["f", "m"]
    assert found.images[["held_out", "fold", "seed", "variant", "method"]].drop_duplicates().values.tolist() == [
        ["b", "b", 0, "v", "train"]
    ]
    assert found.stages["sites"].tolist() == [("a", "b")]


def test_folds_are_named_by_how_many_there_are(tmp_path: Path) -> None:
    for fold in (1, 2):
        write(tmp_path, f"fold{fold}of2/seed0/v")
    write(tmp_path, "fold1of2/seed0/w")
    found = collect(tmp_path / "exp").images
    assert set(found["held_out"]) == {"each of 2 folds"}
    assert set(found["fold"]) == {"fold1of2", "fold2of2"}
    assert set(found["method"]) == {"train v", "train w (1 of 2 folds)"}
    assert set(found["method_name"]) == {"train v", "train w"}
    write(tmp_path, "fold1of2/seed1/v")
    assert set(collect(tmp_path / "exp").images["missing_runs"]) == {" (3 of 4 runs)", " (1 of 4 runs)"}


def test_a_failed_run_gives_its_error_and_only_in_public_what_may_be_said(tmp_path: Path) -> None:
    failed = write(tmp_path, "b/seed1/v", images=None, status="failed", error="/home/x is full", public="full")
    running = write(tmp_path, "b/seed2/v", images=None, status="running")
    reasons = collect(tmp_path / "exp").unfinished
    assert (reasons[failed].text, reasons[failed].public, reasons[failed].quoted) == (
        "/home/x is full", "failed", "full",
    )  # fmt: skip
    assert (reasons[running].text, reasons[running].public) == ("running", "interrupted")
    assert not reasons[failed].damaged


def test_a_damaged_run_leaves_the_others(tmp_path: Path) -> None:
    write(tmp_path)
    damaged = write(tmp_path, "b/seed1/v", images=IMAGES[:1], split=SPLIT)
    no_stage = write(tmp_path, "b/seed2/v", config={"stages": {}})
    found = collect(tmp_path / "exp")
    assert set(found.images["seed"]) == {0}
    assert found.unfinished[damaged].damaged
    assert found.unfinished[damaged].public == "per_image.csv has 1 of 2 rows"
    assert found.unfinished[no_stage].public == "config.yaml is damaged"


def test_other_settings_or_other_images_under_one_name_are_not_mixed(tmp_path: Path) -> None:
    write(tmp_path, data="these")
    other = write(tmp_path, "b/seed1/v", settings="others", data="these")
    images = write(tmp_path, "b/seed2/v", data="those")
    elsewhere = write(tmp_path, "a/seed2/v", data="those", config={"split": {}})
    unknown = write(tmp_path, "b/seed3/v")
    reasons = collect(tmp_path / "exp").unfinished
    assert reasons.keys() == {other, images}
    assert "other settings than b/seed0/v" in reasons[other].text
    assert "other images or labels than b/seed0/v" in reasons[images].text
    assert not {elsewhere, unknown} & reasons.keys()


def test_runs_are_in_the_order_in_which_they_were_planned(tmp_path: Path) -> None:
    """The first variant is what the others are compared with."""
    write(tmp_path, "b/seed0/z", planned="2025-01-01")
    write(tmp_path, "b/seed0/a", planned="2025-01-02")
    assert collect(tmp_path / "exp").stages["variant"].tolist() == ["z", "a"]


def test_variants_that_share_a_stage_are_one_method_there(tmp_path: Path) -> None:
    for variant in ("v", "w"):
        write(tmp_path, f"b/seed0/{variant}", stages={"one": "shared", "two": variant},
              config={"stages": {"one": {"task": {}}, "two": {"task": {}, "init": "one"}}})  # fmt: skip
    found = collect(tmp_path / "exp")
    assert sorted(set(found.images["method"])) == ["one", "two v", "two w"]
    assert len(found.images[found.images["method"] == "one"]) == 2, "each image once"
    assert list(found.images["stage"].cat.categories) == ["one", "two"]
    assert found.stages["init"].tolist() == ["", "one", "", "one"]


@pytest.mark.parametrize(
    ("network", "pretrained"), [({}, ""), ({"weights": None}, False), ({"weights": "imagenet"}, True)]
)
def test_whether_a_network_began_with_weights_from_elsewhere(tmp_path: Path, network: dict, pretrained: object) -> None:
    write(tmp_path, config={"network": network})
    assert collect(tmp_path / "exp").stages["pretrained"].tolist() == [pretrained]


def test_inner_folds_are_in_no_table(tmp_path: Path) -> None:
    write(tmp_path)
    from ushydra_lab.data.split import LeaveSitesOut

    name = LeaveSitesOut(["b"], "a").name
    inner = write(tmp_path, f"{name}/seed0/v", config={"split": {"held_out": "b", "inner": "a"}})
    found = collect(tmp_path / "exp")
    assert found.inner == (inner,)
    assert set(found.images["fold"]) == {"b"}
    assert found.unfinished == {}
