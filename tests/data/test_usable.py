"""Check and training agree on what is usable."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ushydra_lab.audit import lost, report
from ushydra_lab.data import checks
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.data.fields import missing
from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.source import Source
from ushydra_lab.data.split import External
from ushydra_lab.data.vocabulary import ANNOTATIONS, CROP
from ushydra_lab.errors import UserError

COLUMNS = {name: list(ANNOTATIONS[name].columns) for name in ("nt_box", "femur_landmarks")}
SIZES = ((30, 40), (200, 90), (7, 300))
number = st.one_of(
    st.floats(-2, 310).map(lambda x: round(x, 2)), st.sampled_from((0.0, 0.5, 1.0, 30.0, 40.0, 41.0, 7.0))
)
numbers = st.one_of(
    st.just([None] * 4), st.lists(number, min_size=4, max_size=4), st.lists(number, min_size=4, max_size=4).map(sorted)
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for k, size in enumerate(SIZES):
        Image.fromarray(np.random.default_rng(k).integers(0, 256, size, dtype=np.uint8)).save(folder / f"{k}.png")
    return folder


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(numbers, numbers, numbers), min_size=3, max_size=3),
    st.sampled_from(tuple(COLUMNS)),
    st.sampled_from(((128, 128), (16, 24), (1, 500), (8, 8))),
    st.booleans(),
)
def test_training_uses_the_rows_that_the_check_calls_usable(
    images: Path,
    tmp_path_factory: pytest.TempPathFactory,
    cells: list[tuple],
    name: str,
    canvas: tuple[int, int],
    cropped: bool,
) -> None:
    table = pd.DataFrame({"image": [f"{k}.png" for k in range(3)], "site": "a", "subject": ["1", "2", "3"]})
    for column, values in zip(
        [*COLUMNS["nt_box"], *COLUMNS["femur_landmarks"]], np.array([a + b for a, b, _ in cells], object).T, strict=True
    ):
        table[column] = values
    if cropped:
        table[list(CROP.columns)] = np.array([c for *_, c in cells], object)
    source = Source(table, "t", images)
    found = checks.examine(source)
    audited = lost.audit(found.table, canvas, {row for row, _ in found.problems})
    gone = {row for flag in audited.flags if name in flag.text for row in flag.rows}
    try:
        manifest = check_manifest(source)
    except UserError:
        assert found.problems
        return
    assert not found.problems
    expected = set(np.flatnonzero(manifest.table[COLUMNS[name]].notna().all(axis=1))) - gone
    try:
        data = UltrasoundData(manifest, External(), 0, canvas, 2, [name], tmp_path_factory.mktemp("cache"))
    except UserError:
        assert not expected
        return
    data.setup()
    assert set(data.records.tolist()) == expected
    assert not missing(data.fields[name]).any()


def test_what_a_canvas_is_too_small_for_is_counted_before_training(images: Path) -> None:
    table = pd.DataFrame({"image": [f"{k}.png" for k in range(3)], "site": "a", "subject": ["1", "2", "3"]})
    source = Source(table.assign(nt_x1=5.0, nt_y1=2.0, nt_x2=[30.0, 30.0, 6.0], nt_y2=6.0), "t", images)
    (flag,) = [
        flag for finding in report.audit(source, (30, 30)).findings if finding.kind == "lost" for flag in finding.flags
    ]
    assert flag.rows == (1, 2)
    assert "2 of 3 images lose their nt_box on a canvas of 30 x 30 px" in flag.text
    assert not [
        f for finding in report.audit(source, (400, 400)).findings if finding.kind == "lost" for f in finding.flags
    ]
