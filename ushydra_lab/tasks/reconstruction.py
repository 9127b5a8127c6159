"""System 1: a convolutional autoencoder that refines a region of interest (paper 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanMetric, Metric
from torchmetrics.image import PeakSignalNoiseRatio

from ushydra_lab.config.regions import Regions, regions
from ushydra_lab.devices import sent
from ushydra_lab.losses.dino import RoiDino
from ushydra_lab.losses.reconstruction import thumbnail_error
from ushydra_lab.losses.roi import roi_l1
from ushydra_lab.losses.weighting import FixedWeights, Weighting
from ushydra_lab.metrics.caliper import nt_thickness
from ushydra_lab.metrics.reconstruction import reconstruction_metrics
from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder
from ushydra_lab.tasks.base import Answer, Batch, inside
from ushydra_lab.tasks.classification import Codes
from ushydra_lab.tasks.from_output import FromOutput

NT = "nt_box"
THUMBNAIL = "thumbnail"
"""The loss of a network's auxiliary decoder, which is none of the terms."""
Term = Callable[..., Tensor]
"""(reconstruction (B,1,H,W), image (B,1,H,W), box (B,4)) -> loss per image (B,); of the whole image without a box."""
Output = tuple[Tensor, Tensor | None]
"""The reconstruction, and the low-resolution image of z where an auxiliary decoder makes one."""


@dataclass(frozen=True)
class Part:
    """One loss of the objective: a term in a region (None: of the whole image) with the region's weight."""

    term: Term
    region: str | None = None
    weight: float = 1.0


class Reconstruction(FromOutput):
    """Reconstruct the image under a weighted sum of terms (paper 1, section 2.4).

    Args:
        terms: name -> loss per image; Phase 1 has the global term alone.
        roi: the box annotation that is refined, or several with a weight each (`config.regions`), the first of which
            every image must have. An image without a further one counts for the others. Of several each has terms of
            its own, TERM_REGION, whose weights by `weighting` are multiplied by the region's. The NT caliper measures
            in `nt_box` alone.
        weighting: makes the module that weighs the terms from their names; unit weights by default.
        quality_weights: the weight of training images in the terms of regions, by their view's `quality`: word ->
            weight, 0 to 1. None: all count alike. The manifest's `label_weight` counts besides.

    Raises:
        ValueError: no regions (`config.regions`), other words than those of `quality`, a weight outside 0 to 1.
    """

    weighting: Weighting

    @staticmethod
    def requires(settings: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(regions(settings.get("roi", NT)))[:1]

    @staticmethod
    def consults(settings: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(regions(settings.get("roi", NT)))[1:]

    def __init__(
        self,
        network: nn.Module,
        optimizer: Callable[..., Any],
        terms: Mapping[str, Term],
        roi: Regions = NT,
        weighting: Callable[[list[str]], Weighting] = FixedWeights,
        quality_weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(network, optimizer)
        self.terms, self.regions = dict(terms), regions(roi)
        self.roi = next(iter(self.regions))
        self.parts = dict(self._parts())
        self.weighting = weighting(list(self.parts))
        self.quality = Codes("quality", list(quality_weights)) if quality_weights else None
        self.quality_weights = list((quality_weights or {}).values())
        if not all(0 <= weight <= 1 for weight in self.quality_weights):
            raise ValueError(f"quality_weights={dict(quality_weights or {})}: each from 0 to 1")

    def _parts(self) -> Iterator[tuple[str, Part]]:
        trained = {region: weight for region, weight in self.regions.items() if weight}
        for name, term in self.terms.items():
            if _of_whole_image(term):
                yield name, Part(term)
                continue
            for region, weight in trained.items():
                yield name if len(trained) == 1 else f"{name}_{region_name(region)}", Part(term, region, weight)

    def categories(self) -> dict[str, tuple[str, list[str]]]:
        return {"quality_weights": ("quality", self.quality.words)} if self.quality else {}

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
        """Means over the images that have the region; in training each image's own weight scales its pull."""
        image, (reconstruction, thumbnail) = batch["image"], output
        weights = self._image_weights(batch)
        losses = {name: self._loss(part, reconstruction, batch, weights) for name, part in self.parts.items()}
        if thumbnail is not None:
            losses[THUMBNAIL] = thumbnail_error(thumbnail, image, inside(batch)).mean()
        return losses

    def _loss(self, part: Part, reconstruction: Tensor, batch: Batch, weights: Tensor) -> Tensor:
        if part.region is None:
            return part.term(reconstruction, batch["image"]).mean()
        there = batch[part.region].isfinite().all(1)
        boxes = torch.where(there[:, None], batch[part.region], batch[self.roi])
        values = part.term(reconstruction, batch["image"], boxes)
        return (weights * values).where(there, 0).sum() / there.sum().clamp(min=1)

    def _image_weights(self, batch: Batch) -> Tensor:
        """(B,) for the terms of regions; 1 in validation, which so compares runs however they are trained."""
        weights = torch.ones_like(batch[self.roi][:, 0])
        if not self.training:
            return weights
        if "label_weight" in batch:
            weights = weights * batch["label_weight"].nan_to_num(1)
        if self.quality:
            weights = weights * sent(self.quality_weights, weights, weights.dtype)[self.quality(batch)]
        return weights

    def weighed(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """The terms of the objective, without an auxiliary decoder's."""
        return {name: losses[name] for name in self.parts}

    def auxiliary(self, losses: dict[str, Tensor]) -> Tensor | float:
        return losses.get(THUMBNAIL, 0.0)

    def curves(self) -> dict[str, Metric]:
        """PSNR (dB) and absolute error of the canvas, absolute error of the region, each the mean over images."""
        psnr = PeakSignalNoiseRatio(data_range=1.0, dim=(1, 2, 3))
        return {"psnr": psnr, "mae": MeanAbsoluteError(), "roi_mae": MeanMetric(nan_strategy="disable")}

    def observe(self, output: Output, batch: Batch) -> dict[str, tuple[Tensor, ...]]:
        pair = output[0].float(), batch["image"]
        return {"psnr": pair, "mae": pair, "roi_mae": (roi_l1(*pair, batch[self.roi]),)}

    def _by_region(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """The terms of the objective, each times its region's weight."""
        return {name: self.parts[name].weight * loss for name, loss in self.weighed(losses).items()}

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        return self.weighting(self._by_region(losses))

    def selection_loss(self, losses: dict[str, Tensor]) -> Tensor:
        return self.weighting.selection(self._by_region(losses))

    def rehearse(self, canvas: tuple[int, int]) -> None:
        height, width = canvas
        blank, box = torch.zeros(1, 1, height, width), torch.tensor([[0.0, 0.0, width, height]])
        reconstruction_metrics(blank, blank, box, box)
        for part in self.parts.values():
            if not isinstance(part.term, RoiDino):  # it takes any canvas, and is loaded only to train
                part.term(blank, blank, *[box] * (part.region is not None))

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Load the network of a ROI-DINO term: here, so that where it cannot be had no other job is stopped.

        Raises:
            UserError: its weights cannot be had.
        """
        for term in self.terms.values():
            if isinstance(term, RoiDino):
                term.load()

    def loss_weights(self) -> dict[str, float]:
        present = zip(self.parts.items(), self.weighting.present().tolist(), strict=True)
        return {name: part.weight * weight for (name, part), weight in present}

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
        known = {"nt_true_mm": batch["nt_mm"]} if NT in self.regions and "nt_mm" in batch else {}
        return self.describe(answer, batch) | known

    def describe(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """The paper's five metrics, also of further regions, and for the NT the caliper: thickness before and after.

        Thickness is in mm where the pixel spacing is known (`nt_drift_mm`), always also in canvas px (`nt_drift_px`);
        NaN where no NT can be measured. Of originals that can be, `nt_lost` is 1 where the reconstruction cannot.
        Where an image has no box, what is measured in it is NaN.
        """
        content = batch["content"]
        boxes = {region: batch.get(region, torch.full_like(content, torch.nan)) for region in self.regions}
        main = boxes[self.roi]
        there = main.isfinite().all(1)
        box = torch.where(there[:, None], main, content)
        others = {region_name(region): box for region, box in boxes.items() if region != self.roi}
        found = reconstruction_metrics(answer["reconstruction"], batch["image"], box, content, others)
        found |= {name: found[name].where(there, torch.nan) for name in ("roi_mae", "roi_ms_ssim", "roi_edge_mae")}
        return found | (_caliper(answer["reconstruction"], batch | boxes) if NT in boxes else {})


def region_name(roi: str) -> str:
    """`nasal_bone` of `nasal_bone_box`."""
    return roi.removesuffix("_box")


def _of_whole_image(term: Term) -> bool:
    """Whether a term takes no box."""
    try:
        signature(term).bind(None, None)
    except TypeError:
        return False
    return True


def _caliper(reconstruction: Tensor, batch: Batch) -> dict[str, Tensor]:
    there = batch[NT].isfinite().all(1)
    box = torch.where(there[:, None], batch[NT], batch["content"])
    before, after = (nt_thickness(x, box).masked_fill(~there, torch.nan) for x in (batch["image"], reconstruction))
    drift = after - before
    lost = after.isnan().float().masked_fill(before.isnan(), torch.nan)
    metrics = {"nt_px": before, "nt_drift_px": drift, "nt_abs_drift_px": drift.abs(), "nt_lost": lost}
    if "pixel_mm" in batch:
        mm = batch["pixel_mm"]
        metrics |= {"nt_mm": before * mm, "nt_drift_mm": drift * mm, "nt_abs_drift_mm": drift.abs() * mm}
    return metrics
