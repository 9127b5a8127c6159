"""Label maps: areas, centroids, the head's circumference, and masks at the size of the file's frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageColor
from torch import Tensor

from ushydra_lab.figures.panels import LABEL_COLOURS
from ushydra_lab.prediction.frames import Shown
from ushydra_lab.prediction.systems.base import Cells, Drawn, System, mean_logits
from ushydra_lab.tasks.base import Answer, Batch, Task

TINT = 64  # of 255
COLOURS = [ImageColor.getrgb(colour) for colour in LABEL_COLOURS]
PALETTE = np.array([(0, 0, 0), *(COLOURS[label % len(COLOURS)][:3] for label in range(255))], np.uint8)
"""Red, green and blue of each label; 0 is background."""
PER_STRUCTURE = ("found", "area_px", "area_mm2", "centroid_x", "centroid_y", "dice_between_members")
HEAD = ("hc_px", "hc_mm", "hc_sd_mm")


class SegmentationSystem(System):
    """Areas are those of the label map on the canvas, as `evaluate` measures them, in px of the file's frame and mm².

    A mask at the frame's size has at each px the label of the canvas px that its centre lies in.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.structures: list[str] = self.task.structures
        self.legend = dict(enumerate(self.structures, 1))

    @property
    def columns(self) -> list[str]:
        return [*(f"{name}_{s}" for s in self.structures for name in PER_STRUCTURE), *(HEAD if self.task.head else ())]

    def joined(self, answers: Sequence[Answer]) -> Answer:
        return mean_logits(answers)

    def spread(self, answers: Sequence[Answer], batch: Batch) -> dict[str, Tensor]:
        """The mean Dice of two members' label maps, 1 where neither finds the structure; the circumference's SD."""
        maps = [self.task.labels(answer["logits"], batch["content"]) for answer in answers]
        found = {}
        for label, name in self.legend.items():
            pairs = combinations([labels == label for labels in maps], 2)
            found[f"dice_between_members_{name}"] = torch.stack([_dice(*pair) for pair in pairs]).mean(0)
        if self.task.head:
            each = [self.task.describe(answer, batch)["hc_mm"] for answer in answers]
            found["hc_sd_mm"] = torch.stack(each).std(0)
        return found

    def drawn(self, answer: Answer, batch: Batch) -> Drawn:
        labels: Drawn = self.task.labels(answer["logits"], batch["content"]).to(torch.uint8).cpu().numpy()
        return labels

    def cells(self, said: Mapping[str, float], shown: Shown, drawn: Drawn) -> Cells:
        cells: Cells = {name: said.get(name) for name in HEAD} if self.task.head else {}
        px = np.prod([*shown.fit.native_px, *shown.frame.place.native_px])
        for label, name in self.legend.items():
            rows, columns = np.nonzero(drawn == label)
            there = len(rows) > 0
            centre = shown.points(np.array([columns.mean() + 0.5, rows.mean() + 0.5])).tolist() if there else [None] * 2
            values = [int(said[f"found_{name}"]), said[f"found_px_{name}"] * px, said[f"found_mm2_{name}"], *centre]
            own = dict(zip(PER_STRUCTURE, [*values, said.get(f"dice_between_members_{name}")], strict=True))
            cells |= {f"{column}_{name}": value for column, value in own.items()}
        return cells

    def mask(self, shown: Shown, drawn: Drawn) -> NDArray[np.uint8]:
        return shown.labels(drawn)

    def overlay(self, picture: Image.Image, shown: Shown, cells: Cells, drawn: Drawn) -> Image.Image:
        native = Image.fromarray(shown.fit.invert_labels(drawn))
        labels = np.asarray(native.resize(picture.size, Image.Resampling.NEAREST))
        coloured = Image.fromarray(PALETTE[labels])
        strength = np.where(labels > 0, np.where(_outline(labels), 255, TINT), 0).astype(np.uint8)
        return Image.composite(coloured, picture, Image.fromarray(strength))


def _outline(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels with another label within two px to the left, right, above or below."""
    found = np.zeros(labels.shape, bool)
    for step in (1, 2):
        for one, other in ((np.s_[step:], np.s_[:-step]), (np.s_[:, step:], np.s_[:, :-step])):
            differ = labels[one] != labels[other]
            found[one] |= differ
            found[other] |= differ
    return found


def _dice(one: Tensor, other: Tensor) -> Tensor:
    """(B,) of boolean maps (B, H, W)."""
    area = one.sum((1, 2)) + other.sum((1, 2))
    return torch.where(area > 0, 2 * (one & other).sum((1, 2)) / area, 1.0)
