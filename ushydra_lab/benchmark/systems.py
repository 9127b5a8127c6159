"""Speed of each system: its training step as its experiment trains it, and its inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from ushydra_lab.benchmark.lab import ROI_EXPERIMENT, Lab, canvas_of, data_of, quiet
from ushydra_lab.benchmark.loop import TRAINING, timed_fit
from ushydra_lab.benchmark.rows import Row
from ushydra_lab.benchmark.timing import Quartiles, Work, interleaved
from ushydra_lab.config.schema import Experiment
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.training.assembly import build_trainer

PART = "systems"
SYSTEMS = {
    "reconstruction": (ROI_EXPERIMENT, "phase1"),
    "reconstruction, Phase 2": (ROI_EXPERIMENT, "phase2"),
    "segmentation": ("brain_attention_unet", "train"),
    "landmarks": ("biometry_stage1", "train"),
    "routed, stage 1": ("hydra_unet", "specialise"),
    "routed, stage 2": ("hydra_unet", "route"),
}
ANSWER, MEASURED = "answer, an image", "evaluation, an image"


def rows(lab: Lab) -> Iterator[Row]:
    """A training step with data and Lightning; an image's answer, and that with all its metrics, in batches."""
    for title, (name, stage) in SYSTEMS.items():
        experiment = lab.experiment(name)
        data = data_of(experiment)
        size = canvas_of(experiment)
        steps = timed_fit(lab, experiment, stage, data, {})[TRAINING]
        count = len(data.train_dataloader())
        yield Row(PART, f"{title}: training step", size, Quartiles.of([one / count for one in steps]), "s")
        for what, times in _inference(lab, experiment, stage, data).items():
            yield Row(PART, f"{title}: {what}", canvas_of(experiment, 1), Quartiles.of(times), "s")


def _inference(lab: Lab, experiment: Experiment, stage: str, data: UltrasoundData) -> dict[str, list[float]]:
    task = lab.task(experiment, stage).cpu()
    task.prepare(data.part_loader("train"))
    task.to(lab.device).eval()
    batch = lab.to_device(next(iter(data.part_loader("train"))))
    with quiet():
        context = build_trainer(experiment.trainer, []).precision_plugin.forward_context
    works: dict[str, Work] = {ANSWER: partial(task.pictures, batch), MEASURED: partial(task.predict_step, batch)}
    within: dict[str, Work] = {what: partial(_inferred, context, work) for what, work in works.items()}
    times = interleaved(within, lab.repeats, lab.device)
    return {what: [one / len(batch["image"]) for one in taken] for what, taken in times.items()}


def _inferred(context: Callable[[], Any], work: Work) -> None:
    with torch.inference_mode(), context():
        work()
