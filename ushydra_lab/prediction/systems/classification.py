"""Standard planes: the most probable one, and the probability of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ushydra_lab.prediction.frames import Shown
from ushydra_lab.prediction.systems.base import Cells, Drawn, System, mean_logits
from ushydra_lab.tasks.base import Answer, Batch


class ClassificationSystem(System):
    """`agreement`: the share of members that say the plane that all say together."""

    @property
    def columns(self) -> list[str]:
        return ["plane", "confidence", *(f"p_{plane}" for plane in self.task.planes.words), "agreement"]

    def joined(self, answers: Sequence[Answer]) -> Answer:
        return mean_logits(answers)

    def spread(self, answers: Sequence[Answer], batch: Batch) -> dict[str, Tensor]:
        together = self.joined(answers)["logits"].argmax(1)
        each = torch.stack([answer["logits"].argmax(1) for answer in answers])
        return {"agreement": (each == together).float().mean(0)}

    def drawn(self, answer: Answer, batch: Batch) -> Drawn:
        predicted: Drawn = answer["logits"].argmax(1).cpu().numpy()
        return predicted

    def cells(self, said: Mapping[str, float], shown: Shown, drawn: Drawn) -> Cells:
        planes = self.task.planes.words
        cells: Cells = {"plane": planes[int(drawn)], "confidence": said["confidence"]}
        return cells | {f"p_{plane}": said[f"prob_{plane}"] for plane in planes} | {"agreement": said.get("agreement")}

    def overlay(self, picture: Image.Image, shown: Shown, cells: Cells, drawn: Drawn) -> Image.Image:
        text = f"{cells['plane']} {cells['confidence']:.2f}"
        ImageDraw.Draw(picture).text((6, 4), text, fill="white", stroke_width=2, stroke_fill="black", font_size=18)
        return picture
