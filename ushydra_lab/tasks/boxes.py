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

from ushydra_lab.geometry.boxes import box_mask, iou
from ushydra_lab.geometry.heatmaps import heatmap
from ushydra_lab.networks.intensity import Kind
from ushydra_lab.tasks.base import Batch, inside
from ushydra_lab.tasks.landmarks import Landmarks

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

    def detected(self, batch: Batch) -> Tensor:
        """The boxes (B,4), canvas px, that are found in the images of a batch."""
        return self.boxes(self(batch["image"], inside(batch)), batch["content"])

    def truth(self, batch: Batch) -> dict[str, Tensor]:
        return {"truth": _drawn(batch[self.roi], batch)}

    def difficulty(self, images: pd.DataFrame) -> pd.Series:
        return (1 - images["box_iou"]).rename("1 - IoU of the box")

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """The box found, as a label map, and the higher of both corners' heatmaps, (B,H,W) in [0, 1]."""
        output = self(batch["image"], inside(batch))
        height, width = batch["image"].shape[-2:]
        large = F.interpolate(heatmap(output).amax(1, keepdim=True), scale_factor=self.stride, mode="nearest")
        return {
            "prediction": _drawn(self.boxes(output, batch["content"]), batch),
            "heatmap corners": large[:, 0, :height, :width],
        }

    def evaluate(self, batch: Batch) -> dict[str, Tensor]:
        """`box_iou`, and the distance of the boxes' middles in native px, and in mm where the spacing is known."""
        found, true = self.detected(batch), batch[self.roi]
        apart = (found - true).unflatten(1, (2, 2)).mean(1).norm(dim=1)
        metrics = {"box_iou": iou(found, true), "box_centre_px": apart * batch["native_px"]}
        if "pixel_mm" in batch:
            metrics["box_centre_mm"] = apart * batch["pixel_mm"]
        return metrics


def _drawn(box: Tensor, batch: Batch) -> Tensor:
    """A box as a label map, (B,H,W) uint8."""
    height, width = batch["image"].shape[-2:]
    return box_mask(box, (height, width))[:, 0].byte()
