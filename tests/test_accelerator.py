"""Every task trains and is evaluated on a made-up accelerator that refuses syncs and mixed devices."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor

from ushydra_lab import phantom
from ushydra_lab.config.instantiate import instantiate
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers
from ushydra_lab.config.schema import Experiment
from ushydra_lab.config.validation import check
from ushydra_lab.data import canvases
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.errors import UserError
from ushydra_lab.tasks.base import Batch, Task
from ushydra_lab.training.assembly import job_data, quieten_lightning
from ushydra_lab.training.callbacks.epoch_seed import EpochSeed
from ushydra_lab.training.callbacks.finite_loss import FiniteLoss
from ushydra_lab.training.stage_tasks import fresh_task

from .made_up_accelerator import DEVICE, Accelerator, MadeUp, Refused, near
from .small_systems import BRAIN, SMALL

SYSTEMS = {
    **{name: (name, settings) for name, settings in SMALL.items()},
    "nt_detector": ("nt_detector", ["network.widths=[2,4,4]", "canvas=[64,64]", "held_out=hospital_c"]),
    "coordinates": (
        "biometry_stage3",
        ["arm=biometry/stage2_coordinates", "network.widths=[2,4,4]", "canvas=[64,64]", BRAIN, "held_out=hospital_c"],
    ),
    "dofe": (
        "hydra_baselines",
        [
            "arm=hydra_baselines/dofe", "network.channels=8", "canvas=[64,64]", "data.structures={lv: 1}",
            "held_out=echo_unseen",
        ],
    ),
    "random_route": ("hydra_unet", [*SMALL["hydra_unet"][1:], "arm=hydra/random"]),
    "nt_extensions": (
        "nt_phase2",
        [
            "loss=roi_snr", "weighting=gradnorm", "network.widths=[2,4,4,8]", "canvas=[168,176]", "held_out=hospital_c",
            "augment={_target_: ushydra_lab.data.augment.FlipShift}",
            "+stages.phase2.task.quality_weights={low: 0.5, medium: 1, high: 1}",
        ],
    ),
}  # fmt: skip
SCENES = {"nt": ("nt_phase2", "nt_detector", "nt_extensions"), "planes": ("hydra_vit",)}
SCENES |= {
    "head": ("biometry_stage3", "brain_attention_unet", "coordinates"),
    "heart": ("hydra_unet", "random_route", "dofe"),
}
STEP = {
    "losses.roi.patches_of": "how large the largest box is: whole canvases would cost more than to wait",
    "networks.routing.rows_by_domain": "which images a decoder sees decides the shapes of all that it makes",
    "training.callbacks.gradient_calibration.GradNorm.on_train_batch_start": "norms of gradients, for their weights",
    "data.augment._equalised": "kornia's CLAHE sends the numbers of its tiles, for one image in five",
}
"""Functions that may wait in a training step."""
ONCE = {
    "lightning.fabric.utilities.device_dtype_mixin._DeviceDtypeModuleMixin.to": "the model",
    "lightning.fabric.utilities.device_dtype_mixin._DeviceDtypeModuleMixin.cpu": "the model, back",
    "lightning.pytorch.utilities.data.has_len_all_ranks": "the number of batches",
    "lightning.fabric.utilities.apply_func.move_data_to_device": "the optimiser's state, back",
    "training.callbacks.gradient_calibration.GradientCalibration.on_train_start": "weights of loss terms",
}
"""Functions that may wait at the beginning or the end of a stage."""
EPOCH = {
    "lightning.pytorch.core.module.LightningModule.lr_scheduler_step": "a scheduler that waits for a plateau",
    "tasks.from_output.FromOutput.on_validation_epoch_start": "new metrics",
    "tasks.segmentation.Segmentation.on_validation_epoch_end": "whether any validation image shows the structures",
    "tasks.classification._AUROC.compute": "thresholds of a curve",
    "training.callbacks.finite_loss.FiniteLoss.on_validation_end": "whether the epoch's losses are finite",
}
"""Functions that may wait once an epoch."""
VALIDATION = {
    "metrics.biometry._lengths": "SciPy's circumference of an ellipse",
    "torchmetrics.aggregation.BaseAggregator._cast_and_nan_check_input": "means of what is not NaN",
    "torchmetrics.functional.image.psnr._psnr_update": "the number of pixels",
    "torchmetrics.utilities.data._bincount": "counts of classes",
}
"""Functions that may wait on validation images, besides those of a step."""
EVALUATION = {
    "lightning.fabric.utilities.apply_func.move_data_to_device": "the table per image is made on the CPU",
    "metrics.reconstruction.judged_ms_ssim": "pytorch-msssim sends its weights and windows",
    "metrics.shape.shape_features": "SciPy and scikit-learn measure label maps on the CPU",
    "metrics.shape.ShapePrior.forward": "as above",
    "metrics.shape.ShapePrior.anomaly": "as above",
    "metrics.surface.surface_distances": "as above",
    "tasks.structures._tolerances": "of surface distances",
    "tasks.structures.structure_scores": "lengths, which are on the CPU, in mm",
    "tasks.by_quality.where_known": "of these as well",
    "tasks.routed.Routed._route": "a random route is a function of the image's digest",
}
"""Functions that may wait when a trained task is evaluated, besides."""


def trainer(callbacks: list[L.Callback], on: torch.device = DEVICE) -> L.Trainer:
    quieten_lightning()
    placed: dict[str, Any] = {"accelerator": "cpu"}
    if on == DEVICE:
        placed = {"accelerator": MadeUp(), "strategy": SingleDeviceStrategy(DEVICE)}
    return L.Trainer(
        **placed, callbacks=callbacks, max_epochs=1, logger=False, enable_checkpointing=False, num_sanity_val_steps=0,
        enable_progress_bar=False, enable_model_summary=False, inference_mode=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Experiment, UltrasoundData]]:
    """A name in SYSTEMS -> its experiment and data, five images a site."""

    @functools.cache
    def written(scene: str) -> Path:
        machines = phantom.SCENES[scene].machines
        return phantom.write(tmp_path_factory.mktemp(scene), scene, 0, dict.fromkeys(machines, 6))

    @functools.cache
    def built(system: str) -> tuple[Experiment, UltrasoundData]:
        experiment, settings = SYSTEMS[system]
        scene = next(scene for scene, names in SCENES.items() if system in names)
        where = [f"data.path='{written(scene)}'", f"run_root='{tmp_path_factory.mktemp('runs')}'", "data=manifest"]
        register_resolvers()
        with initialize_config_dir(str(CONF), version_base="1.3"):
            typed = [f"+experiment={experiment}", "scale=laptop", "batch_size=4", *settings, *where]
            found = check(compose("config", overrides=typed))
        data = job_data(found)
        data.setup()
        return found, data

    return built


def stages(experiment: Experiment, data: UltrasoundData) -> Iterator[tuple[str, Task]]:
    """Every stage with its new task, prepared on the training images."""
    for stage in experiment.stages:
        fresh = fresh_task(experiment, stage)
        fresh.restore_generators()
        fresh.task.prepare(data.part_loader("train"))
        yield stage, fresh.task


def fit(experiment: Experiment, stage: str, task: Task, data: UltrasoundData, on: torch.device) -> dict[str, float]:
    """Train for an epoch; the curves."""
    callbacks = [EpochSeed(1), FiniteLoss(stage), *map(instantiate, experiment.stages[stage].callbacks.values())]
    fitted = trainer(callbacks, on)
    fitted.fit(task, data)
    return {name: float(near(value)) for name, value in fitted.callback_metrics.items()}


@pytest.fixture(scope="module", autouse=True)
def _room() -> Iterator[None]:
    """For all images of a training on the accelerator; those of an evaluation are sent, a batch at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canvases, "has_room", lambda device, _: device == DEVICE)
        yield


@pytest.fixture(scope="module")
def met(systems: Callable[[str], tuple[Experiment, UltrasoundData]]) -> Callable[[str], set[str]]:
    """A system -> the allowed functions that waited in its training and evaluation, which are as on the CPU."""

    @functools.cache
    def run(system: str) -> set[str]:
        experiment, data = systems(system)
        waited: set[str] = set()
        for stage, task in stages(experiment, data):
            with Accelerator({**STEP, **ONCE, **EPOCH, **VALIDATION}) as training:
                curves = fit(experiment, stage, task, data, DEVICE)
            with Accelerator({**STEP, **ONCE, **VALIDATION, **EVALUATION}) as evaluation:
                evaluated = [part for part in data.parts if part != "train"]
                answers = [trainer([]).predict(task, data.part_loader(part)) for part in evaluated]
            assert all(isinstance(answer, list) and answer for answer in answers)
            waited |= training.met | evaluation.met
            other = dict(stages(experiment, data))[stage]
            assert curves == pytest.approx(
                fit(experiment, stage, other, data, torch.device("cpu")), rel=1e-3, nan_ok=True
            )
        return waited

    return run


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_task_trains_and_is_evaluated_with_no_wait_but_those_that_are_listed(
    system: str, met: Callable[[str], set[str]]
) -> None:
    met(system)


def test_every_wait_that_is_listed_happens(met: Callable[[str], set[str]]) -> None:
    waited = set.union(*map(met, SYSTEMS))
    assert {**STEP, **ONCE, **EPOCH, **VALIDATION, **EVALUATION}.keys() - waited == set()


PLANTED = {
    "an item": lambda image: float(image.sum()),
    "a tensor of the CPU": lambda image: (image + torch.zeros(image.shape)).sum(),
    "a boolean index": lambda image: image[image > 0.5].sum(),
}


@pytest.mark.parametrize("plant", PLANTED)
@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_planted_in_the_losses_or_the_evaluation_of_a_task_is_found(
    system: str, plant: str, systems: Callable[[str], tuple[Experiment, UltrasoundData]]
) -> None:
    experiment, data = systems(system)
    with Accelerator({**STEP, **ONCE, **VALIDATION, **EVALUATION}):
        sent = [
            {key: values.to(DEVICE, non_blocking=True) for key, values in batch.items()}
            for batch in data.part_loader("train")
        ]
        for _, task in stages(experiment, data):
            task.to(DEVICE)
            for method in ("losses", "evaluate"):
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(task, method, _with(getattr(task, method), PLANTED[plant]))
                    step = task.training_step if method == "losses" else task.predict_step
                    with pytest.raises(Refused, match=r"_with|tasks\.base"):
                        step(sent[0], 0)


def _with(method: Callable[[Batch], dict[str, Tensor]], planted: Callable[[Tensor], Any]) -> Any:
    def changed(batch: Batch) -> dict[str, Tensor]:
        return {name: value + 0 * planted(batch["image"]) for name, value in method(batch).items()}

    return changed


def test_an_infinite_loss_of_training_is_told_at_the_end_of_the_epoch(
    systems: Callable[[str], tuple[Experiment, UltrasoundData]], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, data = systems("biometry_stage3")
    stage, task = next(stages(experiment, data))
    losses = task.losses
    infinite = lambda batch: {name: loss / (not task.training) for name, loss in losses(batch).items()}  # noqa: E731
    monkeypatch.setattr(task, "losses", infinite)
    waits = {**STEP, **ONCE, **EPOCH, **VALIDATION}
    with Accelerator(waits), pytest.raises(UserError, match="training loss is no finite number"):
        fit(experiment, stage, task, data, DEVICE)
