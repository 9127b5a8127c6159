"""Reconstructions: how near they come to the image, and in a box that the table gives."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ushydra_lab.prediction.frames import Shown
from ushydra_lab.prediction.systems.base import Cells, Drawn, System, renamed
from ushydra_lab.tasks.base import Answer, Batch

WHOLE = ["psnr", "ms_ssim", "psnr_content", "ms_ssim_content"]
BOX = ["roi_mae", "roi_ms_ssim", "roi_edge_mae"]
BOX_COLOUR = "#ffb000"
NT = ["nt_px", "nt_mm", "nt_drift_px", "nt_drift_mm", "nt_lost"]


class ReconstructionSystem(System):
    """`nt_` columns are the caliper's, in px of the file's frame and mm; what is measured in a box needs one."""

    @property
    def columns(self) -> list[str]:
        return [*(NT if self.task.roi == "nt_box" else []), *BOX, *WHOLE, "sd_between_members"]

    def lacking(self, boxes: Collection[str]) -> str:
        name = self.task.roi.removesuffix("_box")
        edges = ", ".join(f"{name}_{edge}" for edge in ("x1", "y1", "x2", "y2"))
        return (
            ""
            if self.task.roi in boxes
            else f"No image has a box ({edges} of a table): what is measured in it is empty"
        )

    @property
    def question(self) -> tuple[str, ...]:
        return (*super().question, self.task.roi)

    def joined(self, answers: Sequence[Answer]) -> Answer:
        """The mean of the members' reconstructions."""
        return {"reconstruction": torch.stack([answer["reconstruction"] for answer in answers]).mean(0)}

    def spread(self, answers: Sequence[Answer], batch: Batch) -> dict[str, Tensor]:
        """The SD of a pixel's grey between members, of the range 0 to 1, its mean over the canvas."""
        each = torch.stack([answer["reconstruction"] for answer in answers])
        return {"sd_between_members": each.std(0).mean((1, 2, 3))}

    def drawn(self, answer: Answer, batch: Batch) -> Drawn:
        reconstruction: Drawn = answer["reconstruction"][:, 0].mul(255).round().to(torch.uint8).cpu().numpy()
        return reconstruction

    def cells(self, said: Mapping[str, float], shown: Shown, drawn: Drawn) -> Cells:
        cells = renamed(said, {name: name for name in self.columns})
        px = float(shown.fit.pixel_mm(1.0)) * float(np.sqrt(np.prod(shown.frame.place.native_px)))
        return cells | {name: cells[name] * px for name in ("nt_px", "nt_drift_px") if cells.get(name) is not None}

    def overlay(self, picture: Image.Image, shown: Shown, cells: Cells, drawn: Drawn) -> Image.Image:
        """The picture, and the reconstruction to its right, each with the box."""
        x1, y1, x2, y2 = map(int, shown.fit.content)
        made = Image.fromarray(np.ascontiguousarray(drawn[y1:y2, x1:x2])).resize(picture.size).convert("RGB")
        both = Image.new("RGB", (2 * picture.width, picture.height))
        both.paste(picture, (0, 0))
        both.paste(made, (picture.width, 0))
        if self.task.roi in shown.frame.boxes:
            box, draw = np.array(shown.frame.boxes[self.task.roi]), ImageDraw.Draw(both)
            rows, columns = shown.frame.grey.shape
            on_canvas = (shown.fit.apply_box(box) - [x1, y1, x1, y1]) / [x2 - x1, y2 - y1, x2 - x1, y2 - y1]
            for part, left in ((box / [columns, rows, columns, rows], 0), (on_canvas, picture.width)):
                edges = part * np.tile(picture.size, 2) + [left, 0, left, 0]
                if np.isfinite(edges).all():
                    draw.rectangle(edges.tolist(), outline=BOX_COLOUR)
        return both
