"""System 1: a convolutional autoencoder that refines a region of interest (paper 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanMetric, Metric
from torchmetrics.image import PeakSignalNoiseRatio

from ushydra_lab.losses.dino import RoiDino
from ushydra_lab.losses.reconstruction import thumbnail_error
from ushydra_lab.losses.roi import roi_l1
from ushydra_lab.losses.weighting import FixedWeights, Weighting
from ushydra_lab.metrics.caliper import nt_thickness
from ushydra_lab.metrics.reconstruction import reconstruction_metrics
from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder
from ushydra_lab.tasks.base import Answer, Batch, inside
from ushydra_lab.tasks.from_output import FromOutput

NT = "nt_box"
THUMBNAIL = "thumbnail"
"""The loss of a network's auxiliary decoder, which is none of the terms."""
Term = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(reconstruction (B,1,H,W), image (B,1,H,W), box (B,4)) -> loss per image (B,)."""
Output = tuple[Tensor, Tensor | None]
"""The reconstruction, and the low-resolution image of z where an auxiliary decoder makes one."""


class Reconstruction(FromOutput):
    """Reconstruct the image under a weighted sum of terms (paper 1, section 2.4).

    Args:
        terms: name -> loss per image; Phase 1 has the global term alone.
        roi: the box annotation that is refined; the NT caliper measures only in `nt_box`.
        weighting: makes the module that weighs the terms from their names; unit weights by default.
    """

    weighting: Weighting

    @staticmethod
    def requires(settings: Mapping[str, Any]) -> tuple[str, ...]:
        return (settings.get("roi", NT),)

    def __init__(
        self,
        network: nn.Module,
        optimizer: Callable[..., Any],
        terms: Mapping[str, Term],
        roi: str = NT,
        weighting: Callable[[list[str]], Weighting] = FixedWeights,
    ) -> None:
        super().__init__(network, optimizer)
        self.terms = dict(terms)
        self.roi = roi
        self.weighting = weighting(list(self.terms))

    def forward(self, image: Tensor) -> Tensor:
        """The reconstruction, (B,1,H,W) in [0, 1]."""
        return self.network(image)

    def output(self, batch: Batch) -> Output:
        return self._outputs(batch["image"])

    def _outputs(self, image: Tensor) -> Output:
        if isinstance(self.network, ConvAutoencoder) and self.network.auxiliary != "none":
            return self.network.with_thumbnail(image)
        return self(image), None

    def loss_terms(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        image, (reconstruction, thumbnail) = batch["image"], output
        losses = {name: term(reconstruction, image, batch[self.roi]).mean() for name, term in self.terms.items()}
        if thumbnail is not None:
            losses[THUMBNAIL] = thumbnail_error(thumbnail, image, inside(batch)).mean()
        return losses

    def weighed(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """The terms of the objective, without an auxiliary decoder's."""
        return {name: losses[name] for name in self.terms}

    def auxiliary(self, losses: dict[str, Tensor]) -> Tensor | float:
        return losses.get(THUMBNAIL, 0.0)

    def curves(self) -> dict[str, Metric]:
        """PSNR (dB) and absolute error of the canvas, absolute error of the region, each the mean over images."""
        psnr = PeakSignalNoiseRatio(data_range=1.0, dim=(1, 2, 3))
        return {"psnr": psnr, "mae": MeanAbsoluteError(), "roi_mae": MeanMetric(nan_strategy="disable")}

    def observe(self, output: Output, batch: Batch) -> dict[str, tuple[Tensor, ...]]:
        pair = output[0].float(), batch["image"]
        return {"psnr": pair, "mae": pair, "roi_mae": (roi_l1(*pair, batch[self.roi]),)}

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        return self.weighting(self.weighed(losses))

    def selection_loss(self, losses: dict[str, Tensor]) -> Tensor:
        return self.weighting.selection(self.weighed(losses))

    def rehearse(self, canvas: tuple[int, int]) -> None:
        height, width = canvas
        blank, box = torch.zeros(1, 1, height, width), torch.tensor([[0.0, 0.0, width, height]])
        reconstruction_metrics(blank, blank, box, box)
        for term in self.terms.values():
            if not isinstance(term, RoiDino):  # it takes any canvas, and is loaded only to train
                term(blank, blank, box)

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Load the network of a ROI-DINO term: here, so that where it cannot be had no other job is stopped.

        Raises:
            UserError: its weights cannot be had.
        """
        for term in self.terms.values():
            if isinstance(term, RoiDino):
                term.load()

    def loss_weights(self) -> dict[str, float]:
        return dict(zip(self.terms, self.weighting.present().tolist(), strict=True))

    def doubts(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """`badly_reconstructed`: the mean absolute error within the image's content."""
        error, shown = (answer["reconstruction"] - batch["image"]).abs(), inside(batch)
        return {"badly_reconstructed": (error * shown).sum((1, 2, 3)) / shown.sum((1, 2, 3))}

    def difficulty(self, images: pd.DataFrame) -> pd.Series:
        return images["roi_edge_mae"]

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """The reconstruction, its absolute error four times brightened, and an auxiliary decoder's image of z."""
        answer = self.answer(batch["image"], batch["content"])
        reconstruction = answer["reconstruction"]
        error = (reconstruction - batch["image"]).abs().mul(4).clamp(max=1)
        pictures = {"reconstruction": reconstruction[:, 0], "error x 4": error[:, 0]}
        if "thumbnail" in answer:
            pictures["from z"] = F.interpolate(answer["thumbnail"], reconstruction.shape[-2:])[:, 0]
        return pictures

    def answer(self, image: Tensor, content: Tensor) -> Answer:
        """`reconstruction` (B,1,H,W) in [0, 1]; `thumbnail`, the auxiliary decoder's image of z, where there is one."""
        reconstruction, thumbnail = self._outputs(image)
        of_code = {} if thumbnail is None else {THUMBNAIL: thumbnail.float()}
        return {"reconstruction": reconstruction.float()} | of_code

    def measure(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """What `describe` says of images that all have the box; the thickness that is known of the NT, `nt_true_mm`."""
        known = {"nt_true_mm": batch["nt_mm"]} if self.roi == NT and "nt_mm" in batch else {}
        return self.describe(answer, batch) | known

    def describe(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """The paper's five metrics, and for the NT the caliper: its thickness before and after, and its drift.

        Thickness is in mm where the pixel spacing is known (`nt_drift_mm`), always also in canvas px (`nt_drift_px`);
        NaN where no NT can be measured. Of originals that can be, `nt_lost` is 1 where the reconstruction cannot.
        Where an image has no box, what is measured in it is NaN.
        """
        content = batch["content"]
        box = batch.get(self.roi, torch.full_like(content, torch.nan))
        there = box.isfinite().all(1)
        own = batch | {self.roi: torch.where(there[:, None], box, content)}
        found = reconstruction_metrics(answer["reconstruction"], batch["image"], own[self.roi], content)
        found |= _caliper(answer["reconstruction"], own) if self.roi == NT else {}
        return {
            name: values.where(there, torch.nan) if name.startswith(("roi_", "nt_")) else values
            for name, values in found.items()
        }


def _caliper(reconstruction: Tensor, batch: Batch) -> dict[str, Tensor]:
    before, after = nt_thickness(batch["image"], batch[NT]), nt_thickness(reconstruction, batch[NT])
    drift = after - before
    lost = after.isnan().float().masked_fill(before.isnan(), torch.nan)
    metrics = {"nt_px": before, "nt_drift_px": drift, "nt_abs_drift_px": drift.abs(), "nt_lost": lost}
    if "pixel_mm" in batch:
        mm = batch["pixel_mm"]
        metrics |= {"nt_mm": before * mm, "nt_drift_mm": drift * mm, "nt_abs_drift_mm": drift.abs() * mm}
    return metrics
