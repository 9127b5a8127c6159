"""The triage of a run's own validation and test images, as they are and damaged: one row an image."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.data.io.image import decode, in_threads, read_bytes
from ushydra_lab.data.usable import crops
from ushydra_lab.data.vocabulary import IMAGE, SITE
from ushydra_lab.geometry.letterbox import Letterbox
from ushydra_lab.tasks.base import Batch, Task
from ushydra_lab.triage.damage import DAMAGES
from ushydra_lab.triage.pixels import Grey, pixel_reasons
from ushydra_lab.triage.rules import Judgement, Triage
from ushydra_lab.triage.scores import rows, scored

AS_IS = "as_is"
DAMAGED = 12
"""Of how many test images damaged copies are made, spread evenly over all sites."""


def judged_images(triage: Triage, task: Task, data: UltrasoundData) -> pd.DataFrame:
    """kind (`as_is` or of `damage.DAMAGES`), part, record, site, status, reasons, excess, ood_score, ood_threshold."""
    parts = [part for part in data.parts if part != "train"]
    found = [row for part in parts for row in _as_they_are(triage, task, data, part)]
    found += _damaged(triage, task, data) if "test" in parts else []
    return pd.DataFrame(found)


def _as_they_are(triage: Triage, task: Task, data: UltrasoundData, part: str) -> Iterator[dict[str, Any]]:
    table = data.manifest.table[data.part == part]
    scores = rows(scored(task, data.part_loader(part), triage.known), len(table))
    judged = in_threads(partial(_judged, triage), list(zip(table[IMAGE], scores, strict=True)), "triage")
    for record, site, judgement in zip(table.index, table[SITE], judged, strict=True):
        yield _row(AS_IS, part, record, site, judgement)


def _judged(triage: Triage, item: tuple[str, dict[str, float]]) -> Judgement:
    path, scores = item
    return triage.judge(pixel_reasons(_grey(path)), scores)


def _grey(path: str) -> Grey:
    return decode(read_bytes(Path(path))).grey


def _damaged(triage: Triage, task: Task, data: UltrasoundData) -> Iterator[dict[str, Any]]:
    table = data.manifest.table[data.part == "test"].sort_values(SITE, kind="stable")
    chosen = table.iloc[np.unique(np.linspace(0, len(table) - 1, DAMAGED).astype(int))]
    images = [_grey(path) for path in chosen[IMAGE]]
    for kind, damage in DAMAGES.items():
        copies = [damage(image) for image in images]
        batch = _batch(copies, crops(chosen), data.canvas)
        for position, scores in enumerate(rows(scored(task, [batch], triage.known), len(copies))):
            judgement = triage.judge(pixel_reasons(copies[position]), scores)
            yield _row(kind, "test", chosen.index[position], chosen[SITE].iloc[position], judgement)


def _batch(images: list[Grey], shown: Any, canvas: tuple[int, int]) -> Batch:
    """Images of which nothing but their pixels is known."""
    fits = [Letterbox.fit((g.shape[0], g.shape[1]), canvas, crop) for g, crop in zip(images, shown, strict=True)]
    number = torch.arange(len(images))
    pixels = np.stack([fit.apply_image(image) for fit, image in zip(fits, images, strict=True)])
    return {
        "record": number,
        "digest": number,
        "image": torch.from_numpy(pixels).unsqueeze(1).float().div_(255),
        "content": torch.tensor([fit.content for fit in fits], dtype=torch.float32),
        "native_px": torch.tensor([fit.native_px for fit in fits], dtype=torch.float32),
    }


def _row(kind: str, part: str, record: int, site: str, judgement: Judgement) -> dict[str, Any]:
    who = {"kind": kind, "part": part, "record": record, "site": site}
    return who | judgement.cells | {"excess": judgement.excess}
