"""Fitting the triage of a trained task: on images of the training sites alone, and never on a held-out one."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

import numpy as np
import pandas as pd
import torch

from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.data.vocabulary import SITE, SUBJECT
from ushydra_lab.results.conformal import conformal_quantile
from ushydra_lab.tasks.base import Batch, Task
from ushydra_lab.triage.distance import Floats, Mahalanobis
from ushydra_lab.triage.rules import Rule, Triage
from ushydra_lab.triage.scores import features, on_device, scored

ALPHA = 0.05
"""Of validation images each rule sends this share to review at most, where there are 19 subjects or more."""
LARGEST = 0.1
"""The same of fewer subjects: with less than 9 no rule holds."""


def fit_triage(task: Task, data: UltrasoundData) -> Triage:
    """The distance from the training images' features, and thresholds from the validation images.

    Thresholds are conformal (`conformal_quantile`): an image of a new subject of the training sites is above one with
    probability `alpha_of` the validation subjects' number at most, however many images a subject has. Images of another
    hospital are not exchangeable with these; what happens there is measured (`triage.images`), not promised. A score
    that is NaN counts as infinite.
    """
    known = _known(task, data.part_loader("train"))
    if "val" not in data.parts:
        return Triage((), known)
    scores = scored(task, data.part_loader("val"), known)
    table = data.manifest.table[data.part == "val"]
    return Triage(tuple(_rule(code, values, table) for code, values in scores.items()), known)


@torch.inference_mode()
def _known(task: Task, batches: Iterable[Batch]) -> Mahalanobis | None:
    found = []
    for batch in (on_device(task, batch) for batch in batches):
        answer, code = task.answer_with_code(batch["image"], batch["content"])
        if code is None:
            return None
        found.append(features(task, answer, code, batch))
    return Mahalanobis.independent(*(np.concatenate(part) for part in zip(*found, strict=True)))


def alpha_of(subjects: int) -> float:
    """The smallest whole per cent, from ALPHA to LARGEST, for which so many subjects have a conformal threshold."""
    return min(max(ALPHA, ceil(100 / (subjects + 1)) / 100), LARGEST)


def _rule(code: str, scores: Floats, table: pd.DataFrame) -> Rule:
    values = np.nan_to_num(scores, nan=np.inf)
    finite = values[np.isfinite(values)]
    subjects = table.groupby([SITE, SUBJECT]).ngroup()
    alpha = alpha_of(subjects.nunique())
    return Rule(
        code=code,
        threshold=conformal_quantile(values, subjects, alpha),
        spread=float(finite.std()) if len(finite) else 0.0,
        alpha=alpha,
        n_images=len(values),
        n_subjects=subjects.nunique(),
        n_sites=table[SITE].nunique(),
    )
