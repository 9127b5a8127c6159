"""The plan is there before a test image is evaluated, survives kills, and shows a claim that was changed."""

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from ushydra_lab import phantom
from ushydra_lab.config.schema import Claim, Kind
from ushydra_lab.evaluation import per_image
from ushydra_lab.files import DamagedFile, read_json, write_json
from ushydra_lab.runs.plan import PLAN, read_plans

from ..cli import call, status
from ..forked import ForkServer

TINY = [
    "+experiment=nt_phase2", "loss=global,roi", "scale=laptop", "network.widths=[2,4,4,8]", "canvas=[168,176]",
    "batch_size=4", "stages.phase1.max_epochs=1", "stages.phase2.max_epochs=1", "panel_images=1", "data=manifest",
    "data.path=images/manifest.csv", "held_out=hospital_c", "logger.mode=disabled",
]  # fmt: skip
PLANNED = {
    "written": "2026-01-02T03:04:05+0000", "claim": None, "variants": ["a"], "held_out": ["b"], "seeds": [1],
    "finished": 0,
}  # fmt: skip
OTHER = [
    "claim.endpoint=roi_mae",
    "claim.method=null",
    "claim.margin=0.001",
    "claim.kind=equivalence",
    "claim.source=here",
]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantom")
    return phantom.write(root, "nt", 0, dict.fromkeys(phantom.SCENES["nt"].machines, 4)).parent


@pytest.fixture
def folder(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").symlink_to(images)
    return tmp_path / "multirun" / "nt_phase2"


@pytest.mark.slow
def test_the_plan_is_written_before_a_test_image_is_evaluated_and_a_changed_claim_is_seen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, real = [], per_image.evaluate_stages

    def watched(*given: Any) -> Any:
        seen.append(read_plans(folder))
        return real(*given)

    monkeypatch.setattr("ushydra_lab.experiment.evaluate_stages", watched)
    monkeypatch.setattr("ushydra_lab.sweep.jobs.report", lambda _: None)
    call("train", *TINY, "seed=1,2")
    (plan,) = seen[0]
    assert plan.claim == Claim("roi_edge_mae", "global", "roi", 4.9, Kind.superiority, plan.claim.source)
    assert (plan.variants, plan.held_out, plan.seeds) == (["global", "roi"], ["hospital_c"], [1, 2])
    assert plan.finished == 0
    assert all(found == [plan] for found in seen)

    call("train", *TINY, "seed=1,2")  # nothing new is planned
    assert read_plans(folder) == [plan]
    call("train", *TINY, "seed=1,2", *OTHER)
    first, second = read_plans(folder)
    assert first == plan
    assert second.claim == Claim("roi_mae", "global", None, 0.001, Kind.equivalence, "here")
    assert second.finished == 4


@pytest.mark.slow
def test_a_killed_command_leaves_its_plan_and_the_next_one_keeps_it(
    folder: Path, fork_server: ForkServer, tmp_path: Path
) -> None:
    process = fork_server.start([*TINY, "seed=1"], tmp_path, tmp_path / "said.log")
    deadline = time.monotonic() + 120
    while not (folder / PLAN).exists():
        assert time.monotonic() < deadline, (tmp_path / "said.log").read_text()
        time.sleep(0.005)
    os.kill(process, signal.SIGKILL)
    assert fork_server.wait(process) == -signal.SIGKILL
    (plan,) = read_plans(folder)
    call("train", *TINY, "seed=1")
    assert read_plans(folder) == [plan]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "claim.endpoint=roi_edge_mea",
            r"no column of tables \(did you mean 'roi_edge_mae'",
        ),
        ("claim.kind=better", r"claim.kind=better"),
        ("claim.margin=-1", r"claim.margin=-1: the smallest change that matters, 0 or more"),
        ("claim.margin=nan", r"claim.margin=nan: the smallest change that matters, 0 or more"),
        ("claim.method=global", r"claim.method=global: the variant that it is compared with"),
        ("claim.against=null", r"claim.against: give the variant to compare with"),
        ("+claim.margn=1", r"unknown key 'claim.margn'"),
    ],
)
def test_a_claim_that_cannot_be_answered_is_refused_before_anything_is_written(
    change: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("train", *TINY, change) == 1
    assert re.search(said, capsys.readouterr().err)
    assert not list(folder.glob("*/*"))


def test_a_plan_that_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / PLAN, {"plans": []})
    content = read_json(tmp_path / PLAN, "")
    (tmp_path / PLAN).write_text(json.dumps(content | {"plans": [{"claim": None}]}))
    with pytest.raises(DamagedFile, match=r"plan.json"):
        read_plans(tmp_path)
    for plans in ({}, [], [{"claim": None}], [{"claim": {"endpoint": 5}}], [PLANNED | {"seeds": ["1"]}]):
        write_json(tmp_path / PLAN, {"plans": plans})
        with pytest.raises(DamagedFile, match=r"plan.json"):
            read_plans(tmp_path)
    write_json(tmp_path / PLAN, {"plans": [PLANNED]})
    assert read_plans(tmp_path)[0].seeds == [1]


@pytest.mark.slow
def test_a_variant_that_nobody_has_planned_yet_is_told_and_the_report_says_that_it_has_no_answer(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("train", *(word for word in TINY if not word.startswith("loss=")), "loss=roi", "seed=1")
    assert "The claim is about global, of which no run is planned yet" in capsys.readouterr().out
    assert "has no answer: no finished run of global" in (folder / "report" / "tables.md").read_text()
