"""A trial tells an epoch's time by the median of its steps but the first, and of a batch of the validation."""

import pytest

from tests import small_systems
from ushydra_lab import phantom
from ushydra_lab.config.validation import check
from ushydra_lab.training import trial as module
from ushydra_lab.training.assembly import job_data
from ushydra_lab.training.trial import Trial


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    images = phantom.write(
        tmp_path_factory.mktemp("images"), "head", 0, dict.fromkeys(phantom.SCENES["head"].machines, 4)
    )
    job = check(small_systems.composed(small_systems.words("brain_attention_unet", images, images.parent / "runs", 1)))
    data = job_data(job)
    data.setup("fit")
    return Trial(job, "train", data)


@pytest.mark.parametrize(
    ("steps", "typical", "tried"),
    [([9.0, 1, 2, 4, 7, 2], 1.5, 3), ([3.0, 1, 2, 4, 7, 2], 3.0, 5), ([12.0, 1, 1, 1, 1, 1], 12.0, 1)],
)
def test_the_first_step_warms_up_and_none_begins_after_ten_seconds(
    steps: list[float], typical: float, tried: int, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, taken = [0.0], iter(steps)
    done: list[float] = []

    def step(_: object) -> None:
        done.append(next(taken))
        clock[0] += done[-1]

    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(trial, "_step", step)
    monkeypatch.setattr(trial, "_watch", lambda _: clock.__setitem__(0, clock[0] + 0.5))
    monkeypatch.setattr(trial.data, "calibration_batches", lambda count: [{}] * min(count, len(steps)))
    trained, watched = len(trial.data.train_dataloader()), len(trial.data.part_loader("val"))
    assert trial.epoch_seconds() == pytest.approx(typical * trained + 0.5 * watched)
    assert len(done) == tried


def test_a_trial_takes_real_steps(trial: Trial) -> None:
    before = {name: weight.clone() for name, weight in trial.task.network.named_parameters()}
    assert trial.epoch_seconds() > 0
    assert any(not weight.equal(before[name]) for name, weight in trial.task.network.named_parameters())
