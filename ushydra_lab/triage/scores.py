"""What triage rules compare: scores of images, by a task's answer and the code that its network made on the way."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from ushydra_lab.tasks.base import Answer, Batch, Task
from ushydra_lab.triage.distance import Floats, Mahalanobis
from ushydra_lab.triage.rules import OOD

Scores = dict[str, Floats]
"""Code of a rule -> the score that it compares, (B,)."""


def scores_of(task: Task, answer: Answer, code: Tensor | None, batch: Batch, known: Mahalanobis | None) -> Scores:
    """`ood` and the task's `doubts`.

    Args:
        answer, code: by `answer_with_code`.
        known: the distance from `features` of training images; None of a network without a code.
    """
    found = {name: exact(values) for name, values in task.doubts(answer, batch).items()}
    if known is None or code is None:
        return found
    return {OOD: known(np.hstack(features(task, answer, code, batch))), **found}


def features(task: Task, answer: Answer, code: Tensor, batch: Batch) -> tuple[Floats, Floats]:
    """What is compared with training images: the network's code (B, C), and the answer's traits (B, K)."""
    return exact(code), exact(task.traits(answer, batch))


def exact(values: Tensor) -> Floats:
    """Float64, on the CPU."""
    return values.detach().cpu().numpy().astype(np.float64)


def rows(scores: Scores, count: int) -> list[dict[str, float]]:
    """Scores of `count` images as one dict an image."""
    return [{name: float(values[index]) for name, values in scores.items()} for index in range(count)]


@torch.inference_mode()
def scored(task: Task, batches: Iterable[Batch], known: Mahalanobis | None) -> Scores:
    """The scores of all images in `batches`, in their order."""
    found = []
    for batch in (on_device(task, batch) for batch in batches):
        answer, code = task.answer_with_code(batch["image"], batch["content"])
        found.append(scores_of(task, answer, code, batch, known))
    return {name: np.concatenate([scores[name] for scores in found]) for name in found[0]}


def on_device(task: Task, batch: Batch) -> Batch:
    """A batch where the task's weights are."""
    device = next(task.parameters()).device
    return {name: values.to(device) for name, values in batch.items()}
