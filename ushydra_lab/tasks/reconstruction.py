"""System 1: a convolutional autoencoder that refines a region of interest (paper 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from ushydra_lab.config.regions import Regions, regions
from ushydra_lab.losses.dino import RoiDino
from ushydra_lab.losses.weighting import FixedWeights, Weighting
from ushydra_lab.metrics.caliper import nt_thickness
from ushydra_lab.metrics.reconstruction import reconstruction_metrics
from ushydra_lab.tasks.base import Batch, Task
from ushydra_lab.tasks.classification import Codes

NT = "nt_box"
Term = Callable[..., Tensor]
"""(reconstruction (B,1,H,W), image (B,1,H,W), box (B,4)) -> loss per image (B,); of the whole image without a box."""


@dataclass(frozen=True)
class Part:
    """One loss of the objective: a term in a region (None: of the whole image) with the region's weight."""

    term: Term
    region: str | None = None
    weight: float = 1.0


class Reconstruction(Task):
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

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Means over the images that have the region; in training each image's own weight scales its pull."""
        reconstruction = self(batch["image"])
        weights = self._image_weights(batch)
        return {name: self._loss(part, reconstruction, batch, weights) for name, part in self.parts.items()}

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
            weights = weights * weights.new_tensor(self.quality_weights)[self.quality(batch)]
        return weights

    def _weighted(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: self.parts[name].weight * loss for name, loss in losses.items()}

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        return self.weighting(self._weighted(losses))

    def selection_loss(self, losses: dict[str, Tensor]) -> Tensor:
        return self.weighting.selection(self._weighted(losses))

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

    def difficulty(self, images: pd.DataFrame) -> pd.Series:
        return images["roi_edge_mae"]

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """The reconstruction and its absolute error, the error four times brightened."""
        reconstruction = self(batch["image"])
        error = (reconstruction - batch["image"]).abs().mul(4).clamp(max=1)
        return {"reconstruction": reconstruction[:, 0], "error x 4": error[:, 0]}

    def evaluate(self, batch: Batch) -> dict[str, Tensor]:
        """The paper's five metrics, also of further regions, and for the NT the caliper: thickness before and after.

        Thickness is in mm where the pixel spacing is known (`nt_drift_mm`), always also in canvas px (`nt_drift_px`);
        NaN where no NT can be measured. Of originals that can be, `nt_lost` is 1 where the reconstruction cannot.
        """
        reconstruction = self(batch["image"]).float()
        others = {region_name(region): batch[region] for region in self.regions if region != self.roi}
        metrics = reconstruction_metrics(reconstruction, batch["image"], batch[self.roi], batch["content"], others)
        return metrics | (_caliper(reconstruction, batch) if NT in self.regions else {})


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
    if "nt_mm" in batch:
        metrics["nt_true_mm"] = batch["nt_mm"]
    return metrics
