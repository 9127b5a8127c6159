"""The command runs end to end and its JSON has every row."""

import json
from concurrent.futures import Executor, Future
from pathlib import Path

import pytest
import torch

from ushydra_lab.benchmark import LONG, PART_NAMES, evidence, run, training
from ushydra_lab.benchmark.plain import CompetentTraining, OtherProcess
from ushydra_lab.benchmark.systems import SYSTEMS

from ..cli import call


class Here(Executor):
    """Works in this process, which has imported all that a new one would have to."""

    def __init__(self, *_: object) -> None: ...

    def submit(self, work, /, *arguments, **more):  # type: ignore[no-untyped-def]
        done = Future()
        done.set_result(work(*arguments, **more))
        return done


def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *parts: str) -> list[dict]:
    file = tmp_path / "figures.json"
    words = ["--scale", "tiny", "--repeats", "1", "--cache-dir", str(tmp_path / "cache"), "--json", str(file)]
    call("benchmark", *words, "--only", *parts)
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["repeats"] == 1
    return content["rows"]


class SameProcess(OtherProcess):
    """A training in this process, of which another would import all again."""

    def __init__(self, training, network, images, batch_size, device) -> None:  # type: ignore[no-untyped-def]
        made = training(network, device)
        self.works = {
            "step": lambda: made.step(torch.stack([images[row] for row in range(batch_size)])),
            "epoch": lambda: made.epoch(CompetentTraining.batches(images, batch_size)),
        }

    def __exit__(self, *_: object) -> None: ...

    def _do(self, what: str) -> None:
        self.works[what]()


@pytest.mark.slow
def test_every_part_gives_its_rows_each_with_a_figure_and_a_ratio_wherever_it_is_compared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of the slowest tests: parts that train every system, at their smallest."""
    monkeypatch.setattr(run, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(training, "OtherProcess", SameProcess)
    monkeypatch.setattr(evidence, "SEEDS", (2, 3))
    monkeypatch.setattr(evidence, "ARMS", (2,))
    usual = [name for name in PART_NAMES if name not in (*LONG, "phantom")]  # these have tests of their own
    rows = ran(monkeypatch, tmp_path, *usual)
    assert {row["part"] for row in rows} == {*usual, "data"}
    for row in rows:
        assert row["value"]["low"] <= row["value"]["median"] <= row["value"]["high"]
        unbounded = "exponent" in row["what"] or "slope" in row["what"] or row["part"] == "evidence"
        assert row["value"]["median"] > 0 or unbounded
        assert bool(row["against"]) == (row["other"] is not None) == (row["ratio"] is not None)
        aimed = row["at_least"] is not None or row["at_most"] is not None
        assert (row["met"] is not None) == aimed
    compared = {row["against"] for row in rows if row["part"] == "training"}
    assert {"network's forward+backward", "competent step, images in memory", "bare loop, same batches"} < compared
    systems = [row["what"] for row in rows if row["part"] == "systems"]
    assert systems == [f"{name}: {what}" for name in SYSTEMS for what in
                       ("training step", "answer, an image", "evaluation, an image")]  # fmt: skip
    exponents = [row["size"] for row in rows if row["what"].endswith("exponent")]
    assert exponents == ["canvas px", "images", "seeds", "sites", "rows", "rows", "runs"]
    printed = capsys.readouterr().out
    assert "pytorch-msssim" in printed
    assert str(tmp_path) not in json.dumps(rows) + printed


def test_the_protocol_is_its_steps_times_splits_seeds_and_epochs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = ran(monkeypatch, tmp_path, "protocol")
    measured = {row["what"]: row["value"]["median"] for row in rows}

    def hours(stage: str) -> float:
        epoch = 163 * measured[f"{stage}: step"] + 29 * measured[f"{stage}: validation of a batch"]
        return 3 * 5 * 250 * epoch / 3600

    first, second = hours("phase1"), hours("phase2")
    assert measured["whole protocol, one variant"] == pytest.approx(first + second)
    assert measured["whole protocol, final objective and control"] == pytest.approx(first + 2 * second)


def test_without_a_choice_every_part_is_measured_but_those_that_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(run, "run_parts", lambda _, parts, *__: asked.extend(parts) or [])
    call("benchmark")
    assert {*asked} == {*PART_NAMES} - {*LONG}
    assert LONG
