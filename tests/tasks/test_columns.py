"""Every column that a task emits is declared, once, and a declared name is read back as what it is of."""

import runpy
import string
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from ushydra_lab.tasks.columns import (
    COLUMNS,
    FAMILIES,
    SINGLE,
    Column,
    ColumnConflict,
    Metric,
    declare,
    declared_in,
    members,
    split_name,
)

from ..results.test_metrics import classification, reconstruction
from . import test_boxes as of_boxes
from . import test_landmarks as of_landmarks
from . import test_routed as of_routed
from . import test_segmentation as of_segmentation

DOCS = Path(__file__).parents[2] / "docs"
PIXEL = {"pixel_mm": torch.tensor([0.5, 1.0])}


def emitted() -> dict[str, list[str]]:
    """Task -> the columns it emits where everything is known of the images that can be."""
    head = of_landmarks.batch_of(of_landmarks.HEAD, hc_mm=torch.tensor([300.0, 310.0]), **PIXEL)
    heatmaps = of_landmarks.Shown(of_landmarks.peaks(of_landmarks.HEAD))
    mask = torch.zeros(2, 32, 40, dtype=torch.uint8)
    mask[:, 8:24, 8:30], mask[0, 12:16, 12:18] = 1, 2
    masks = of_segmentation.batch_of(mask, hc_mm=torch.tensor([80.0, 90.0]), **PIXEL)
    found = {
        "reconstruction": reconstruction(0.1),
        "boxes": of_boxes.task_for(of_boxes.Shown(of_boxes.peaks(of_boxes.BOX.view(2, 2)))).evaluate(
            of_boxes.batch_of(of_boxes.BOX) | PIXEL
        ),
        "landmarks": of_landmarks.task_for(heatmaps).evaluate(head),
        "segmentation": of_segmentation.task_for(mask, head="parenchyma").evaluate(masks),
        "classification": classification(0.1),
    }
    for target in ("planes", "masks"):
        found[f"routed {target}"] = of_routed.fitted(target).evaluate(of_routed.batch_of([0, 2]))
        specialised = of_routed.task_for(target, "specialise").eval()
        found[f"specialised {target}"] = specialised.evaluate(of_routed.batch_of([0, 2]))
    return {task: list(columns) for task, columns in found.items()}


def test_every_column_that_a_task_emits_is_declared_and_every_declared_one_is_emitted() -> None:
    names = {name for columns in emitted().values() for name in columns}
    assert [name for name in names if split_name(name) is None] == []
    known = {"stage", "part", "record", "site", "nt_true_mm"}  # of the table itself; and where a reference is given
    there = {pair[0] for name in names if (pair := split_name(name))}
    assert {column.name for column in COLUMNS if column not in there} == known


def test_no_name_is_declared_twice() -> None:
    assert len(SINGLE) + len(FAMILIES) == len(COLUMNS)


@given(st.sampled_from(sorted(FAMILIES)), st.text(string.ascii_letters + "_+", min_size=1, max_size=8))
def test_a_family_s_column_is_read_back_as_its_structure_s(family: str, structure: str) -> None:
    name = f"{family}_{structure}"
    longer = [other for other in FAMILIES if len(other) > len(family) and name.startswith(f"{other}_")]
    assume(name not in SINGLE and not longer)
    assert split_name(name) == (FAMILIES[family], structure)
    assert members([name, "stage", "mine"], family) == [structure]


def test_names_that_begin_as_a_family_does_are_told_apart() -> None:
    names = ["dice_empty_csp", "dice_csp", "true_px_lv", "true", "score_low", "score", "mine"]
    assert members(names, "dice") == ["csp"]
    assert members(names, "dice_empty") == ["csp"]
    assert members(names, "score") == ["low"]
    ordered = ["true", "score", "score_low", "dice_csp", "dice_empty_csp", "true_px_lv"]
    assert [name for name, _ in declared_in(names)] == ordered


@pytest.mark.parametrize("name", ["columns.md", "annotations.md"])
def test_the_documentation_is_what_is_declared(name: str) -> None:
    page = runpy.run_path(str(DOCS / "write_declarations.py"))["PAGES"][name]
    assert (DOCS / name).read_text(encoding="utf-8") == page(), "run python docs/write_declarations.py"


@pytest.mark.parametrize(
    "column",
    [
        Column("dice", "x"),
        Column("dice_csp", "x"),
        Column("seed", "x"),
        Column("method_name", "x"),
        Column("mine", "x", metric=Metric("PSNR (dB)", "higher", 2)),
    ],
)
def test_a_column_of_one_s_own_cannot_take_the_place_of_another(column: Column) -> None:
    with pytest.raises(ColumnConflict):
        declare(column)
    assert column not in COLUMNS


@pytest.mark.parametrize("metric", [{"digits": -1}, {"digits": 1000}, {"digits": 2, "most": 0.0}])
def test_a_metric_that_no_table_can_show_is_refused(metric: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="digits must be 0 to 10"):
        Metric("Mine", "lower", **metric)  # type: ignore[arg-type]
