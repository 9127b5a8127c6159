"""What triage rules compare: scores of images, by a task's answer and the code that its network made on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from ushydra_lab.tasks.base import Batch, Task
from ushydra_lab.triage.distance import Floats, Mahalanobis
from ushydra_lab.triage.rules import OOD

Scores = dict[str, Floats]
"""Score -> its values (B,)."""


def scores_of(task: Task, said: Mapping[str, Tensor], code: Tensor | None, known: Mahalanobis | None) -> Scores:
    """The scores that rules of this task name.

    Args:
        said: what `describe` says of the answers, (B,) each.
        code: codes (B, D), by `answer_with_code`.
        known: the distance from training codes; None of a network without a code.
    """
    names = sorted({score.removeprefix("-") for score in task.doubts.values()} & said.keys())
    found = {name: exact(said[name]) for name in names}
    return found if known is None or code is None else {OOD: known(exact(code)), **found}


def exact(values: Tensor) -> Floats:
    """Float64, on the CPU."""
    return values.detach().cpu().numpy().astype(np.float64)


def rows(scores: Scores) -> list[dict[str, float]]:
    """Scores (B,) as one dict an image."""
    return [dict(zip(scores, row, strict=True)) for row in zip(*(v.tolist() for v in scores.values()), strict=True)]


@torch.inference_mode()
def scored(task: Task, batches: Iterable[Batch], known: Mahalanobis | None) -> Scores:
    """The scores of all images in `batches`, in their order."""
    found = []
    for batch in batches:
        there = on_device(task, batch)
        answer, code = task.answer_with_code(there["image"], there["content"])
        found.append(scores_of(task, task.describe(answer, there), code, known))
    return {name: np.concatenate([scores[name] for scores in found]) for name in found[0]}


def on_device(task: Task, batch: Batch) -> Batch:
    """A batch where the task's weights are."""
    device = next(task.parameters()).device
    return {name: values.to(device) for name, values in batch.items()}
