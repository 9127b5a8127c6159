"""The base of all systems' predictions: answers of several members -> one, its numbers and its pictures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ushydra_lab.prediction.frames import Shown
from ushydra_lab.tasks.base import Answer, Batch, Task
from ushydra_lab.tasks.routed import Routed

Cells = dict[str, Any]
"""A row's cells of a system: column -> number or word; None where it cannot be said."""
Drawn = NDArray[Any]
"""What is drawn of one image, on the canvas."""


class System:
    """One task's way into a table and pictures. A subclass gives all that raises NotImplementedError here."""

    legend: Mapping[int, str] = {}
    """Label -> structure, of a system with masks."""

    def __init__(self, task: Task) -> None:
        self.task: Any = task

    @property
    def question(self) -> tuple[Any, ...]:
        """What is asked: members with another one cannot answer together."""
        return (type(self).__name__, *self.columns)

    @property
    def columns(self) -> list[str]:
        """The columns of predictions.csv that are this system's, in order."""
        raise NotImplementedError

    @property
    def routes(self) -> list[str]:
        """The decoders among which a router chooses by the image; none where there is no choice."""
        return self.task.domains.words if isinstance(self.task, Routed) and not self.task.single else []

    def lacking(self, boxes: Collection[str]) -> str:
        """What cannot be said of images with these boxes alone, as a sentence; nothing of most systems."""
        return ""

    def joined(self, answers: Sequence[Answer]) -> Answer:
        """The answer of several members together; of one its own."""
        raise NotImplementedError

    def spread(self, answers: Sequence[Answer], batch: Batch) -> dict[str, Tensor]:
        """Columns (B,) that tell how far the answers of several members are apart."""
        raise NotImplementedError

    def drawn(self, answer: Answer, batch: Batch) -> Drawn:
        """Of each image what is drawn, (B, ...) on the canvas."""
        raise NotImplementedError

    def cells(self, said: Mapping[str, float], shown: Shown, drawn: Drawn) -> Cells:
        """The system's cells of one frame; said: what `describe` and `spread` say of it."""
        raise NotImplementedError

    def implausible(self, cells: Cells) -> bool:
        """Whether no fetus can have what is said of a frame; False of most systems."""
        return False

    def mask(self, shown: Shown, drawn: Drawn) -> NDArray[np.uint8] | None:
        """The label map at the size of the file's frame, of a system that has one."""
        return None

    def overlay(self, picture: Image.Image, shown: Shown, cells: Cells, drawn: Drawn) -> Image.Image:
        """The frame's picture (RGB, of any size) with the answer drawn on."""
        raise NotImplementedError


def mean_logits(answers: Sequence[Answer]) -> Answer:
    """Logits of the mean probability of several members; of one its answer as it is."""
    if len(answers) == 1:
        return answers[0]
    return {"logits": torch.stack([answer["logits"].softmax(1) for answer in answers]).mean(0).log()}


def renamed(said: Mapping[str, float], names: Mapping[str, str]) -> Cells:
    """The cells of these columns, under the names that they have in `said`."""
    return {column: said.get(name) for column, name in names.items()}
