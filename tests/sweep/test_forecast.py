"""What a sweep is told to take: stages found and missing, time from what was recorded or tried, disk; no bit moves."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import small_systems
from ushydra_lab.config.schema import Experiment
from ushydra_lab.config.validation import check
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.experiment import prepare
from ushydra_lab.runs.directory import RunDirectory
from ushydra_lab.runs.pace import recorded
from ushydra_lab.sweep import forecast as told
from ushydra_lab.sweep.forecast import (
    Duration,
    Forecast,
    bytes_needed,
    disk_in_words,
    duration,
    forecast,
    time_in_words,
)
from ushydra_lab.sweep.jobs import foretold
from ushydra_lab.sweep.missing_work import MissingWork, missing_work
from ushydra_lab.training.stages import train_stages
from ushydra_lab.training.trial import Trial
from ushydra_lab.training.wandb_logger import RunLogger


@dataclass
class Trained:
    """A finished job of the brain system, and the words that were typed for it."""

    path: Path
    words: list[str]

    @property
    def root(self) -> Path:
        return self.path.parents[3]

    def experiment(self, *more: str) -> Experiment:
        return check(small_systems.composed([*self.words, *more]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    manifest = small_systems.write_images("brain_attention_unet", tmp_path_factory.mktemp("phantom"))
    words = small_systems.words("brain_attention_unet", manifest, tmp_path_factory.mktemp("runs"), 2)
    return Trained(small_systems.train(words), words)


def test_a_job_notes_its_pace_and_the_next_seed_is_expected_to_take_as_long(trained: Trained) -> None:
    known = recorded(trained.root)
    work = missing_work([trained.experiment("seed=1001"), trained.experiment("seed=1002")], known)
    assert [stage.name for stage in work.stages] == ["train", "train"]
    time = duration(work, known, here=False)
    assert (time.known, time.unknown, time.trials, time.evaluated) == (1, (), (), True)
    (stage,) = (known[one] for one in {stage.work for stage in work.stages})
    evaluations = sum(known[key].seconds * images for key, images in work.evaluations)
    assert stage.epochs == 2
    assert time.expected == pytest.approx(2 * stage.seconds * work.stages[0].images * 2 + evaluations)


def test_a_stage_that_was_trained_is_found_unless_what_it_is_trained_on_differs(trained: Trained) -> None:
    known = recorded(trained.root)
    assert missing_work([trained.experiment()], known).found == 1
    assert missing_work([trained.experiment("stages.train.task.optimizer.lr=0.5")], known).found == 0
    assert missing_work([trained.experiment("held_out=hospital_a")], known).found == 0


def test_jobs_that_share_a_stage_train_it_once_also_before_any_was_trained(trained: Trained) -> None:
    jobs = [trained.experiment("variant=a"), trained.experiment("variant=b"), trained.experiment("seed=7")]
    assert len(missing_work(jobs, {}).stages) + missing_work(jobs, {}).found == 2


def test_a_trial_sees_training_and_validation_images_alone_and_moves_no_bit(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[str] = []

    def dataset(data: UltrasoundData, part: str) -> Any:
        parts.append(part)
        return whole(data, part)

    whole = UltrasoundData._dataset
    monkeypatch.setattr(UltrasoundData, "_dataset", dataset)
    work = missing_work([trained.experiment("seed=3")], {})
    assert Trial(work.stages[0].experiment, "train", work.stages[0].data).epoch_seconds() > 0
    assert set(parts) == {"train", "val"}
    experiment = trained.experiment(f"run_root='{tmp_path}'")
    directory = RunDirectory(tmp_path / "brain" / "site" / "seed1000" / "hybrid", experiment)
    directory.path.mkdir(parents=True)
    again = train_stages(experiment, directory, prepare(experiment)[0], RunLogger(None))["train"].folder.weights
    assert bits(trained.path / "checkpoints" / "train.ckpt") == bits(again)


def bits(checkpoint: Path) -> dict[str, bytes]:
    """Of every tensor: NaN, which unfitted buffers hold, equals itself."""
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    return {name: value.numpy().tobytes() for name, value in state.items()}


def test_nothing_recorded_is_tried_where_a_trial_is_a_small_part_of_the_work(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told, "Trial", lambda *_: FixedTrial())
    short, long = (missing_work([trained.experiment("seed=5", f"stages.train.max_epochs={n}")], {}) for n in (2, 200))
    assert duration(short, {}, here=True).unknown == ("train",)
    assert duration(long, {}, here=True).trials == ("train",)
    assert duration(long, {}, here=True).most == pytest.approx(200 * 3.0)
    assert duration(long, {}, here=False).unknown == ("train",)


def test_what_jobs_share_counts_for_the_first_of_them(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told, "Trial", lambda *_: FixedTrial())
    words = "seed=5", "stages.train.max_epochs=200"
    jobs = [
        trained.experiment(*words, "variant=a"),
        trained.experiment(*words, "variant=b"),
        trained.experiment("seed=6", words[1]),
    ]
    assert duration(missing_work(jobs, {}), {}, here=True).of_jobs == pytest.approx((600, 0, 600))


class FixedTrial:
    def epoch_seconds(self) -> float:
        return 3.0


def test_a_trial_that_fails_is_told_and_leaves_the_time_unknown(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(told, "Trial", lambda *_: 1 / 0)
    none = forecast([trained.experiment("seed=5", "stages.train.max_epochs=200", "run_root=elsewhere")], here=True)
    assert "not known yet" in none.lines[1]
    assert none.of_jobs == (0,)
    assert "a trial of a few steps failed (ZeroDivisionError)" in caplog.text


def test_what_cannot_be_told_keeps_no_job_from_starting(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ushydra_lab.sweep.jobs.forecast", lambda *_: 1 / 0)
    finished = RunDirectory(trained.path, trained.experiment())
    assert foretold([finished], here=True) == Forecast((), ())
    missing = RunDirectory(trained.path.with_name("none"), trained.experiment("variant=none"))
    none = foretold([finished, missing], here=True)
    assert none == Forecast(("time and disk: cannot be told (ZeroDivisionError)",), ())


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (Duration((0,), 0, (), 0, ("train",), False), "time: not known yet"),
        (
            Duration((400, 200), 600, ("phase1",), 0, (), False),
            "about 10 min for one job after another, by a few steps of phase1",
        ),
        (
            Duration((400, 200), 1200, (), 3, (), True),
            "about 10 min, at most 20 min for one job after another, as 3 jobs",
        ),
        (Duration((400, 200), 600, (), 1, ("phase2",), True), "without phase2, of which nothing is known yet"),
        (Duration((400, 200), 600, ("phase1",), 0, (), True, shared=True), "other programs use the cores now"),
    ],
)
def test_the_words_say_what_the_time_rests_on(time: Duration, words: str) -> None:
    assert words in time_in_words(time)


def test_disk_counts_weights_once_a_stage_and_shouts_where_too_little_is_free(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [trained.experiment(f"seed={seed}") for seed in (4, 5)]
    one, two = (missing_work(jobs[:n], {}) for n in (1, 2))
    (checkpoint,) = (trained.path / "checkpoints").glob("*.ckpt")
    weights = sum(len(value) for name, value in bits(checkpoint).items() if name.startswith("network."))
    of_another_seed = bytes_needed(two) - bytes_needed(one) - told.JOB_BYTES
    assert weights * 0.9 <= of_another_seed <= weights * 2  # those of the last epoch, too, without early stopping
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 5e6}))
    assert "BUT ONLY" in disk_in_words(two, tmp_path / "not there yet")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 5e12}))
    assert disk_in_words(MissingWork(), tmp_path) == "disk: about 0.01 GB, 5000 GB are free"
