"""A detector of regions of interest: the box as its two corners on heatmaps, by the networks and losses of landmarks.

Paper 1, section 5, announces regions from automatic detectors. Corners are found as in H. Law and J. Deng, CornerNet
(ECCV 2018), of one box an image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from ushydra_lab.geometry.boxes import box_mask, iou
from ushydra_lab.geometry.heatmaps import heatmap, uncertainty
from ushydra_lab.networks.intensity import Kind
from ushydra_lab.tasks.base import Answer, Batch, native_mm
from ushydra_lab.tasks.landmarks import Landmarks, placed

LEAST_PX = 2.0
"""Sides of a detected box are at least so long."""


class Boxes(Landmarks):
    """Find the box of a region from heatmaps (B,2,h,w) of its upper left and its lower right corner.

    Args:
        terms: name -> loss of the heatmaps, `losses.landmarks.heatmap_mse`; their sum is trained on.
        sigma: of the drawn Gaussians, canvas px.
        decoder: heatmaps -> points, in evaluation.
        roi: the box annotation to find.
        intensity: grey values as the network sees them (`networks.intensity`).
    """

    @staticmethod
    def requires(settings: Mapping[str, Any]) -> tuple[str, ...]:
        return (settings["roi"],)

    def __init__(
        self,
        network: nn.Module,
        optimizer: Callable[..., Any],
        terms: Mapping[str, Callable[..., Tensor]],
        sigma: float,
        decoder: Callable[[Tensor, float], Tensor],
        roi: str,
        intensity: Kind = "zscore",
        scheduler: Callable[..., Any] | None = None,
    ) -> None:
        shares = dict.fromkeys(terms, 1.0)
        super().__init__(network, optimizer, terms, shares, sigma, decoder, intensity=intensity, scheduler=scheduler)
        self.roi = roi

    def _ordered(self, batch: Batch) -> Tensor:
        return batch[self.roi].unflatten(1, (2, 2))

    def rehearse(self, canvas: tuple[int, int]) -> None:
        """Raises ValueError where the network does not fit the canvas or gives no two heatmaps."""
        blank = torch.zeros(2, 1, *canvas, device=self.log_temperature.device)
        output = self(blank, torch.ones_like(blank, dtype=torch.bool))
        if self.stride is None or output.shape[1] != 2:
            raise ValueError(f"the network gives {tuple(output.shape)}: two heatmaps, of corners, are needed (B,2,h,w)")

    def boxes(self, output: Tensor, content: Tensor) -> Tensor:
        """Boxes (B,4), canvas px, of the network's output, on the content (B,4) as far as their least size allows."""
        corners = self.located(output).clamp(min=content[:, None, :2]).minimum(content[:, None, 2:])
        middle, half = corners.mean(1), (corners[:, 1] - corners[:, 0]).abs().clamp(min=LEAST_PX) / 2
        return torch.cat([middle - half, middle + half], 1)

    def truth(self, batch: Batch) -> dict[str, Tensor]:
        return {"truth": _drawn(batch[self.roi], batch)}

    def difficulty(self, images: pd.DataFrame) -> pd.Series:
        return (1 - images["box_iou"]).rename("1 - IoU of the box")

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """The box found, as a label map, and the higher of both corners' heatmaps, (B,H,W) in [0, 1]."""
        answer = self.answer(batch["image"], batch["content"])
        height, width = batch["image"].shape[-2:]
        maps = heatmap(answer["heatmaps"]).amax(1, keepdim=True)
        large = F.interpolate(maps, scale_factor=self.stride, mode="nearest")[:, 0, :height, :width]
        return {"prediction": _drawn(answer["box"], batch), "heatmap corners": large}

    def curves(self) -> dict[str, Metric]:
        """The mean IoU of validation images."""
        return {"box_iou": MeanMetric()}

    def observe(self, output: Tensor, batch: Batch) -> dict[str, tuple[Tensor, ...]]:
        return {"box_iou": (iou(self.boxes(output, batch["content"]), batch[self.roi]),)}

    def answer(self, image: Tensor, content: Tensor) -> Answer:
        """`box` (B,4), canvas px; `heatmaps`, logits (B,2,h,w), their `entropy` (B,2), nats, and `spread` (B,2), px."""
        output = self(image, box_mask(content, (image.shape[-2], image.shape[-1])))
        assert self.stride is not None
        sure = uncertainty(output, self.stride)
        box = self.boxes(output, content)
        return {"box": box, "heatmaps": output, "entropy": sure["entropy"], "spread": sure["spread_px"]}

    def measure(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """`box_iou`, and the distance of the boxes' middles in native px, and in mm where the spacing is known; and
        what `describe` says.
        """
        found, true = answer["box"], batch[self.roi]
        metrics = {"box_iou": iou(found, true)}
        apart = (found - true).unflatten(1, (2, 2)).mean(1) * batch["native_px"]
        metrics["box_centre_px"] = apart.norm(dim=1)
        if (spacing := native_mm(batch)) is not None:
            metrics["box_centre_mm"] = metrics["box_centre_px"] * spacing
        return metrics | self.describe(answer, batch)

    def traits(self, answer: Answer, batch: Batch) -> Tensor:
        """Where the box lies and how large it is, in parts of the image's content, (B,4)."""
        return placed(answer["box"].unflatten(1, (1, 2, 2)), batch["content"])

    def describe(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """The box's edges in native px of what is shown of the image, and the mean `entropy` (nats) of the heatmaps."""
        edges = to_native(answer["box"], batch).unbind(1)
        named = zip(("x1", "y1", "x2", "y2"), edges, strict=True)
        return {f"box_{edge}_px": px for edge, px in named} | {"entropy": answer["entropy"].mean(1)}


def to_native(box: Tensor, batch: Batch) -> Tensor:
    """Boxes (B,4) in canvas px -> in native px from the upper left corner of the content."""
    return (box - batch["content"][:, :2].repeat(1, 2)) * batch["native_px"].repeat(1, 2)


def to_canvas(box: Tensor, batch: Batch) -> Tensor:
    """The way back from `to_native`, on the canvas of this batch."""
    return box / batch["native_px"].repeat(1, 2) + batch["content"][:, :2].repeat(1, 2)


def _drawn(box: Tensor, batch: Batch) -> Tensor:
    """A box as a label map, (B,H,W) uint8."""
    height, width = batch["image"].shape[-2:]
    return box_mask(box, (height, width))[:, 0].byte()
