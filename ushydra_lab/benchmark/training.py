"""Speed of the autoencoder's step and epoch against the network alone, a bare loop and a plain baseline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ushydra_lab.benchmark.lab import ROI_EXPERIMENT, Lab, canvas_of, data_of
from ushydra_lab.benchmark.loop import EPOCH, TRAINING, BareLoop, timed_fit
from ushydra_lab.benchmark.plain import WORKERS, CompetentTraining, OtherProcess, PlainImages, PlainTraining
from ushydra_lab.benchmark.rows import Row, faster, longer
from ushydra_lab.benchmark.timing import Quartiles, Work, ratio_quartiles
from ushydra_lab.config.schema import Experiment
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.tasks.base import Batch

PART, STAGE = "training", "phase1"
NETWORK, LOOP = "network's forward+backward", "bare loop, same batches"
PLAIN, COMPETENT = "plain step, images in memory", "competent step, images in memory"
PLAIN_EPOCH, COMPETENT_EPOCH = f"plain epoch, {WORKERS} workers decode", "competent epoch, images in memory"
MOST_OF_THE_NETWORK = {"paper": 1.25, "laptop": 1.35}
"""How many times as long as the network alone a training step may take."""
DATA, DECODING = "our images", "decode+letterbox per item"


def rows(lab: Lab) -> Iterator[Row]:
    """Per step or epoch of Phase 1, as an experiment trains it: loss, optimiser, data, Lightning and its callbacks."""
    experiment = lab.experiment(ROI_EXPERIMENT)
    data = data_of(experiment)
    batches = len(data.train_dataloader())
    images = PlainImages(_files(data), data.canvas)
    theirs = images, data.batch_size, lab.device
    with (
        OtherProcess(PlainTraining, lab.task(experiment, STAGE).network, *theirs) as plain,
        OtherProcess(CompetentTraining, lab.task(experiment, STAGE).network, *theirs) as competent,
    ):
        others = {PLAIN: plain.step, PLAIN_EPOCH: plain.epoch}
        others |= {COMPETENT: competent.step, COMPETENT_EPOCH: competent.epoch}
        times = timed_fit(lab, experiment, STAGE, data, others | _references(lab, experiment, data, images))
    size = canvas_of(experiment)
    steps = {name: [one / batches for one in times[name]] for name in (TRAINING, NETWORK, LOOP)}
    most = MOST_OF_THE_NETWORK["paper" if lab.scale == "paper" else "laptop"]
    yield longer(PART, "training step", size, steps[TRAINING], NETWORK, steps[NETWORK], at_most=most)
    yield faster(PART, "training step", size, steps[TRAINING], PLAIN, times[PLAIN])
    yield faster(PART, "training step", size, steps[TRAINING], COMPETENT, times[COMPETENT], at_least=1)
    yield longer(PART, "training step (Lightning)", size, steps[TRAINING], LOOP, steps[LOOP], at_most=1.05)
    epoch = f"{len(images)} images"
    yield faster(PART, "epoch with data", epoch, times[TRAINING], PLAIN_EPOCH, times[PLAIN_EPOCH])
    yield faster(PART, "epoch with data", epoch, times[TRAINING], COMPETENT_EPOCH, times[COMPETENT_EPOCH], at_least=1)
    whole, trained = times[EPOCH], times[TRAINING]
    yield longer(PART, "epoch with all that goes with it", epoch, whole, "its training part", trained)
    yield from _data(len(images), size, times)


def _data(images: int, size: str, times: dict[str, list[float]]) -> Iterator[Row]:
    ours, need, decoded = ([images / one for one in times[name]] for name in (DATA, TRAINING, DECODING))
    for against, other, aim in (("the step's need", need, 5), (DECODING, decoded, None)):
        values = Quartiles.of(ours), "images/s", against, Quartiles.of(other)
        yield Row("data", "data path, images in memory", size, *values, ratio_quartiles(ours, other), "x", at_least=aim)


def _references(lab: Lab, experiment: Experiment, data: UltrasoundData, images: PlainImages) -> dict[str, Work]:
    """The epoch without all but the network, and without Lightning; the data alone."""
    loader = data.train_dataloader()
    batch: Batch = lab.to_device(next(iter(loader)))
    return {
        NETWORK: partial(network_alone, lab.task(experiment, STAGE).network, [batch["image"]] * len(loader)),
        LOOP: BareLoop(lab, lab.task(experiment, STAGE), data).epoch,
        DATA: partial(_run_through, loader),
        DECODING: lambda: _run_through(images[index] for index in range(len(images))),
    }


def _files(data: UltrasoundData) -> list[str]:
    return list(data.manifest.table["image"][data.part == "train"])


def network_alone(network: nn.Module, images: Sequence[Tensor]) -> None:
    """Forward and backward, with the cheapest loss there is; not deterministic, as nobody who wants speed alone is."""
    before, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        for image in images:
            network.zero_grad()
            network(image).mean().backward()
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)


def _run_through(items: Iterable[object]) -> None:
    for _ in items:
        pass
