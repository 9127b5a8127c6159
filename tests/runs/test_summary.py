"""run.json is parsed into values of their kinds, whoever wrote it."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ushydra_lab.errors import NOT_LOADED
from ushydra_lab.runs.summary import MOST_COLUMNS, StageSummary, column_to_json, parse_stage, parse_summary
from ushydra_lab.tasks.column import Acceptable, Column, Metric

WHOLE: dict[str, Any] = {"status": "finished", "seed": 0, "variant": "v", "stages": {"one": {"key": "k"}}, "files": {}}


def test_what_is_not_known_is_left_out_and_null_is_the_default() -> None:
    found = parse_summary(WHOLE | {"later": 1, "error": None, "metrics": {"psnr": 30.5}})
    assert (found.seed, found.error, found.metrics, found.packed) == (0, "", {"psnr": 30.5}, False)
    stage = found.stages["one"]
    assert math.isnan(stage.score)
    assert (stage.epochs, stage.loss_weights, stage.parameters) == (None, {}, None)


def test_a_stage_keeps_what_it_says() -> None:
    said = {"key": "k", "epochs": 3, "selected_by": "val/loss", "selected_epoch": 2, "score": 1, "trainable": 10}
    assert parse_stage(said | {"loss_weights": {"a": 2.0}}) == StageSummary(**said, loss_weights={"a": 2.0})
    for content in (3, {}, {"key": 3}, {"key": "k", "epochs": 1.5}, {"key": "k", "loss_weights": {"a": "b"}}):
        with pytest.raises(ValueError, match=r"key|epochs|loss_weights"):
            parse_stage(content)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"status": None}, "no status"),
        ({"status": "done"}, "status 'done' is none"),
        ({"seed": -1}, "seed, variant or stages are missing"),
        ({"variant": ""}, "seed, variant or stages are missing"),
        ({"stages": {}}, "seed, variant or stages are missing"),
        ({"seed": True}, "seed is True"),
        ({"seed": "1"}, "seed is '1'"),
        ({"packed": 1}, "packed is 1"),
        ({"files": {"../x": "0"}}, r"\.\./x is outside of the run"),
        ({"files": {"/x": "0"}}, "/x is outside of the run"),
        ({"files": {"x": 0}}, "files is"),
        ({"seen_sites": [1]}, "seen_sites is"),
        ({"files": None, "versions": {"ushydra_lab": "0.3.0"}}, "the sums of its files are missing"),
        ({"columns": [{"name": "a", "holds": "b"}] * (MOST_COLUMNS + 1)}, f"{MOST_COLUMNS + 1} columns are declared"),
        ({"columns": [{}]}, "a column without a name"),
        ({"columns": [{"name": "a", "holds": "b", "metric": 3}]}, "column a"),
        (
            {"columns": [{"name": "a", "holds": "b", "metric": {"label": "A", "better": "sideways"}}]},
            "better is 'sideways'",
        ),
    ],
)
def test_a_value_that_cannot_be_is_named(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parse_summary(WHOLE | change)


def test_seed_0_and_versions_without_sums_are_read() -> None:
    assert parse_summary(WHOLE).seed == 0
    for version in ("0.1.0", "0.2.0"):
        assert parse_summary(WHOLE | {"files": None, "versions": {"ushydra_lab": version}}).files is None
    assert len(parse_summary(WHOLE | {"columns": [{"name": "a", "holds": "b"}] * MOST_COLUMNS}).columns) == MOST_COLUMNS


def test_a_job_that_has_not_finished_needs_its_status_alone() -> None:
    assert parse_summary({"status": "running"}).seed == -1


def test_what_a_terminal_would_obey_is_not_in_a_text() -> None:
    assert "\x1b" not in parse_summary({"status": "failed", "error": "a\x1b[2Jb"}).error


def test_of_versions_that_wrote_no_public_error_one_is_known_to_be_fit_to_be_told() -> None:
    assert parse_summary({"status": "failed", "error": f"{NOT_LOADED}\n/home/x"}).public == NOT_LOADED
    assert parse_summary({"status": "failed", "error": "/home/x"}).public == ""
    told = {"status": "failed", "error": f"{NOT_LOADED}\n/home/x", "public": "more"}
    assert parse_summary(told).public == "more"


numbers = st.floats(0, 10)


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(["higher", "lower"]), st.integers(0, 5), st.one_of(st.just(math.inf), st.floats(0.1, 9)),
    st.none() | st.builds(Acceptable, numbers, st.just("mm"), st.just("a guideline")),
)  # fmt: skip
def test_a_declared_column_comes_back_from_json(better: Any, digits: int, most: float, limits: Any) -> None:
    column = Column("a", "what it holds", metric=Metric("A (mm)", better, digits, most=most), acceptable=limits)
    content = json.loads(json.dumps(column_to_json(column), allow_nan=False))
    assert parse_summary({"status": "running", "columns": [content]}).columns == [column]
    assert parse_summary({"status": "running", "columns": [column_to_json(Column("b", "more"))]}).columns == [
        Column("b", "more")
    ]
