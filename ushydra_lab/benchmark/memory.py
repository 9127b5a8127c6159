"""Peak memory of a training step."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator

import torch

from ushydra_lab.benchmark.counting import peak_bytes
from ushydra_lab.benchmark.lab import ROI_EXPERIMENT, Lab, canvas_of
from ushydra_lab.benchmark.plain import PlainTraining
from ushydra_lab.benchmark.rows import Row
from ushydra_lab.benchmark.steps import Step
from ushydra_lab.benchmark.timing import Quartiles

PART, MIB = "memory", 2**20


def rows(lab: Lab) -> Iterator[Row]:
    """Tensors that a step holds at its peak, beside weights, optimiser and batch; what the process had at its peak."""
    experiment = lab.experiment(ROI_EXPERIMENT)
    step = Step(lab, experiment, "phase1")
    plain = PlainTraining(lab.task(experiment, "phase1").network, lab.device)
    image = step.batch["image"]
    works = (step, lambda: plain.step(image))
    for work in works:
        work()
    ours, theirs = (Quartiles.exact(peak_bytes(work, lab.device) / MIB) for work in works)
    ratio = Quartiles.exact(ours.median / theirs.median)
    size = canvas_of(experiment)
    yield Row(PART, "tensors of a step at its peak", size, ours, "MiB", "plain step", theirs, ratio, "x as much")
    held = step.state_bytes() / MIB
    yield Row(PART, "weights, gradients, optimiser", size, Quartiles.exact(held), "MiB")
    yield Row(PART, "whole process so far, at its peak", "", Quartiles.exact(_resident() / MIB), "MiB")
    if lab.device.type == "cuda":
        reserved = Quartiles.exact(torch.cuda.max_memory_reserved() / MIB)
        yield Row(PART, "GPU memory reserved at its peak", "", reserved, "MiB")


def _resident() -> int:
    """Bytes; the kernel counts KiB, macOS bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
