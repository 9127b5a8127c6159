"""End points of OFD and BPD, and what is measured between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ushydra_lab.figures.panels import LABEL_COLOURS
from ushydra_lab.metrics.biometry import LANDMARKS, MEASURES, matched
from ushydra_lab.prediction.frames import Shown
from ushydra_lab.prediction.systems.base import Cells, Drawn, System, renamed
from ushydra_lab.tasks.base import Answer, Batch
from ushydra_lab.tasks.landmarks import canonical

MEASURED = [f"{measure}_{unit}" for unit in ("px", "mm") for measure in MEASURES]
ENDS = [f"{name}_{axis}" for name in LANDMARKS for axis in "xy"]
SURE = ["entropy", "ofd_spread_mm", "bpd_spread_mm"]
SPREAD = [f"{measure}_sd_{unit}" for unit in ("px", "mm") for measure in MEASURES]


class LandmarkSystem(System):
    """Points go into the table in px of the file's frame, the OFD's left and the BPD's upper end first."""

    @property
    def question(self) -> tuple[Any, ...]:
        """Heatmaps say how sure they are, coordinates do not: their mean would say it of a part of the members."""
        return (*super().question, self.task.stride is not None)

    @property
    def columns(self) -> list[str]:
        return [*MEASURED, *SPREAD, *SURE, *ENDS]

    def joined(self, answers: Sequence[Answer]) -> Answer:
        """The mean of the members' points, ends exchanged where that brings them nearer to the first's."""
        if len(answers) == 1:
            return answers[0]
        first = answers[0]["points"]
        found = {"points": torch.stack([matched(answer["points"], first) for answer in answers]).mean(0)}
        uncertain = {name: [answer[name] for answer in answers if name in answer] for name in ("entropy", "spread")}
        return found | {name: torch.stack(values).mean(0) for name, values in uncertain.items() if values}

    def spread(self, answers: Sequence[Answer], batch: Batch) -> dict[str, Tensor]:
        """The SD of each length between members."""
        each = [self.task.describe(answer, batch) for answer in answers]
        names = {name: f"{name[:-3]}_sd_{name[-2:]}" for name in MEASURED}
        return {sd: torch.stack([said[name] for said in each]).std(0) for name, sd in names.items()}

    def drawn(self, answer: Answer, batch: Batch) -> Drawn:
        points: Drawn = canonical(answer["points"]).cpu().numpy()
        return points

    def cells(self, said: Mapping[str, float], shown: Shown, drawn: Drawn) -> Cells:
        ends = shown.points(drawn).ravel().tolist()
        points = dict(zip(ENDS, ends, strict=True))
        return points | renamed(said, {name: name for name in [*MEASURED, *SURE, *SPREAD]})

    def implausible(self, cells: Cells) -> bool:
        """A head that is broader than it is long; lengths are in square pixels."""
        return bool(cells["bpd_px"] > cells["ofd_px"])

    def overlay(self, picture: Image.Image, shown: Shown, cells: Cells, drawn: Drawn) -> Image.Image:
        draw = ImageDraw.Draw(picture)
        rows, columns = shown.fit.native
        points = shown.fit.invert_points(drawn) * (picture.width / columns, picture.height / rows)
        if np.isfinite(points).all():
            for ends, colour in zip((points[:2], points[2:]), LABEL_COLOURS, strict=False):
                draw.line([*ends[0], *ends[1]], fill=colour, width=2)
                for x, y in ends:
                    draw.ellipse([x - 4, y - 4, x + 4, y + 4], outline=colour, width=2)
        return picture
