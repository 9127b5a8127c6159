"""Fitting the triage of a trained task: on images of the training sites alone, and never on a held-out one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch

from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.data.vocabulary import SITE, SUBJECT
from ushydra_lab.results.conformal import conformal_quantile
from ushydra_lab.tasks.base import Batch, Task
from ushydra_lab.triage.distance import Floats, Mahalanobis
from ushydra_lab.triage.rules import Rule, Triage
from ushydra_lab.triage.scores import exact, on_device, scored

ALPHA = 0.05
"""Of validation images each rule sends this share to review at most."""


def fit_triage(task: Task, data: UltrasoundData) -> Triage:
    """The distance from the training images' codes, and thresholds from the validation images.

    Thresholds are conformal (`conformal_quantile`): an image of a new subject of the training sites is above one with
    probability ALPHA at most, however many images a subject has. Images of another hospital are not exchangeable with
    these; what happens there is measured (`triage.images`), not promised. A score that is NaN counts as infinite.
    """
    codes = _codes(task, data.part_loader("train"))
    known = None if codes is None else Mahalanobis.standardised(codes)
    if "val" not in data.parts:
        return Triage((), known)
    scores = scored(task, data.part_loader("val"), known)
    table = data.manifest.table[data.part == "val"]
    return Triage(tuple(_rule(code, values, table) for code, values in scores.items()), known)


@torch.inference_mode()
def _codes(task: Task, batches: Iterable[Batch]) -> Floats | None:
    found = []
    for batch in (on_device(task, batch) for batch in batches):
        code = task.answer_with_code(batch["image"], batch["content"])[1]
        if code is None:
            return None
        found.append(exact(code))
    return np.concatenate(found)


def _rule(code: str, scores: Floats, table: pd.DataFrame) -> Rule:
    values = np.nan_to_num(scores, nan=np.inf)
    finite = values[np.isfinite(values)]
    return Rule(
        code=code,
        threshold=conformal_quantile(values, table.groupby([SITE, SUBJECT]).ngroup(), ALPHA),
        spread=float(finite.std()) if len(finite) else 0.0,
        alpha=ALPHA,
        n_images=len(values),
        n_subjects=len(table.drop_duplicates([SITE, SUBJECT])),
        n_sites=table[SITE].nunique(),
    )
