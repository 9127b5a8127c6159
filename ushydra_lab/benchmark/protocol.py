"""Hours that the NT paper's whole protocol would take on this machine, from steps measured at its size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

from ushydra_lab.benchmark.lab import ROI_EXPERIMENT, Lab, canvas_of
from ushydra_lab.benchmark.rows import Row
from ushydra_lab.benchmark.steps import Step
from ushydra_lab.benchmark.timing import Quartiles, seconds

PART = "protocol"
SPLITS, SEEDS, EPOCHS, TRAINED, VALIDATED = 3, 5, 250, 1300, 230
"""Paper 1: leave one of three hospitals out, five seeds, at most 250 epochs a phase, images a split."""


def rows(lab: Lab) -> Iterator[Row]:
    """Upper limit: early stopping ends most stages sooner. All variants share Phase 1; the control is a second one."""
    experiment = replace(lab, scale="paper").experiment(ROI_EXPERIMENT)
    if lab.scale == "tiny":
        network = experiment.network | {"widths": [2, 4, 4, 8], "canvas": [168, 176]}
        experiment = replace(experiment, canvas=[168, 176], network=network)
    size, batch = canvas_of(experiment), experiment.batch_size
    # elsewhere one will do, after one to warm up: at this size none is short
    repeats = lab.repeats if lab.scale == "paper" else 1
    hours: dict[str, list[float]] = {}
    for stage in ("phase1", "phase2"):
        step = Step(lab, experiment, stage)
        step()
        trained = [seconds(step, lab.device) for _ in range(repeats)]
        watched = [seconds(step.validate, lab.device) for _ in range(repeats)]
        yield Row(PART, f"{stage}: step", size, Quartiles.of(trained), "s")
        yield Row(PART, f"{stage}: validation of a batch", size, Quartiles.of(watched), "s")
        epochs = SPLITS * SEEDS * EPOCHS / 3600
        hours[stage] = [
            epochs * (ceil(TRAINED / batch) * a + ceil(VALIDATED / batch) * b)
            for a, b in zip(trained, watched, strict=True)
        ]
    for variants, what in ((1, "one variant"), (2, "final objective and control")):
        total = [first + variants * second for first, second in zip(hours["phase1"], hours["phase2"], strict=True)]
        jobs = f"{SPLITS} splits x {SEEDS} seeds x {EPOCHS}+{EPOCHS} epochs"
        yield Row(PART, f"whole protocol, {what}", jobs, Quartiles.of(total), "h")
