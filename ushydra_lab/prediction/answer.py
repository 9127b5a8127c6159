"""Answering frames: one row of predictions.csv for each, with what is drawn of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ushydra_lab.prediction.batches import FrameBatch
from ushydra_lab.prediction.frames import Shown
from ushydra_lab.prediction.intervals import bounds, too_wide
from ushydra_lab.prediction.members import Ensemble
from ushydra_lab.prediction.systems.base import Cells, Drawn, System
from ushydra_lab.triage.rules import Judgement

WHERE = [
    "image", "frame", "time_s", "region", "sha256_16", "height", "width", "pixel_mm_x", "pixel_mm_y", "spacing_from",
]  # fmt: skip
JUDGED = ["status", "reasons", "ood_score", "ood_threshold"]
"""How triage judges a frame (`triage.rules.Judgement`); empty where no run has a triage."""
DOUBTS = IMPLAUSIBLE, WIDE = "implausible", "wide_interval"
"""Reasons for review that lie in what is measured: no fetus has it, or its interval reaches down to nothing."""
ROUTE = ["route", "route_margin"]
LARGEST = 512
"""Longest side of an overlay, px."""


@dataclass(frozen=True)
class Prediction:
    """What is said of one frame. cells: its row of predictions.csv, None where something cannot be said."""

    shown: Shown
    system: System
    cells: Cells
    drawn: Drawn

    def __getitem__(self, column: str) -> Any:
        """A cell of the row, by its column; None where it cannot be said.

        Raises:
            KeyError: there is no such column; the message names those that there are.
        """
        if column not in self.cells:
            raise KeyError(f"{column}: no column; there are {', '.join(self.cells)}")
        return self.cells[column]

    @property
    def mask(self) -> NDArray[np.uint8] | None:
        """The label map at the size of the file's frame; None of a system without."""
        return self.system.mask(self.shown, self.drawn)

    @property
    def overlay(self) -> Image.Image:
        """The frame, at most LARGEST px, with the answer drawn on."""
        picture = Image.fromarray(self.shown.frame.grey)
        picture.thumbnail((LARGEST, LARGEST), Image.Resampling.BILINEAR)
        return self.system.overlay(picture.convert("RGB"), self.shown, self.cells, self.drawn)


def columns(ensemble: Ensemble) -> list[str]:
    """The columns of predictions.csv, in order."""
    system = ensemble.system
    bounded = [f"{measure}_mm_{end}" for measure in ensemble.intervals for end in ("low", "high")]
    return [*WHERE, *JUDGED, *(ROUTE if system.routes else ()), *system.columns, *bounded, "n_members"]


@torch.inference_mode()
def predict_frames(ensemble: Ensemble, batch: FrameBatch) -> list[Prediction]:
    """The answers to a batch's frames, which are on the ensemble's canvas; none to a batch of problems alone."""
    if not batch.shown:
        return []
    system, shown = ensemble.system, [one for _, one in batch.shown]
    asked = {name: values.to(ensemble.device) for name, values in batch.tensors.items()}
    answered = [member.answer(asked) for member in ensemble.members]
    answers = [answer for answer, _ in answered]
    scores = [of_member for _, of_member in answered if of_member]
    judged = [ensemble.judge(one.refused, [own[k] for own in scores]) for k, one in enumerate(shown)]
    together = system.joined(answers)
    said = system.task.describe(together, asked)
    if len(answers) > 1:
        said |= system.spread(answers, asked)
    drawn = system.drawn(together, asked)
    each = zip(shown, _listed(said), drawn, judged, strict=True)
    return [Prediction(one, system, _row(ensemble, one, of, image, how), image) for one, of, image, how in each]


def _listed(said: Mapping[str, Tensor]) -> list[dict[str, float]]:
    """Columns (B,) as one dict an image."""
    values = {name: column.detach().cpu().tolist() for name, column in said.items()}
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _row(ensemble: Ensemble, shown: Shown, said: Mapping[str, float], drawn: Drawn, judged: Judgement | None) -> Cells:
    """All that is said of one frame."""
    frame, system = shown.frame, ensemble.system
    (rows, columns_), (mm_x, mm_y) = frame.place.native, frame.native_mm
    where = [
        frame.name, frame.frame, frame.time_s, frame.region, frame.sha256, rows, columns_, mm_x, mm_y,
        frame.spacing_from,
    ]  # fmt: skip
    cells: Cells = dict(zip(WHERE, where, strict=True))
    cells |= dict.fromkeys(JUDGED)
    if system.routes:
        chosen = said.get("route")
        cells |= {"route": None if chosen is None else system.routes[int(chosen)], "route_margin": said.get(ROUTE[1])}
    cells |= system.cells(said, shown, drawn)
    cells |= bounds(ensemble.intervals, cells) | {"n_members": len(ensemble.members)}
    if judged:
        doubts = {IMPLAUSIBLE: system.implausible(cells), WIDE: too_wide(ensemble.intervals, cells)}
        cells |= judged.reviewed([reason for reason, holds in doubts.items() if holds]).cells
    return {name: None if isinstance(cell, float) and not isfinite(cell) else cell for name, cell in cells.items()}
