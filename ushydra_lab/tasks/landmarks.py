"""System 2: end points of the head's two diameters, OFD and BPD, and what is measured between them (paper 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, get_args

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from ushydra_lab.geometry.boxes import box_mask
from ushydra_lab.geometry.heatmaps import TEMPERATURE, SoftArgmax, heatmap, soft_argmax, uncertainty
from ushydra_lab.losses.landmarks import coordinate_l1
from ushydra_lab.metrics.biometry import biometry, measured
from ushydra_lab.networks.activation import deepest_code
from ushydra_lab.networks.intensity import Intensity, Kind
from ushydra_lab.tasks.base import Answer, Batch, inside, native_mm
from ushydra_lab.tasks.from_output import FromOutput

CURVES = ("nme", "distance_px", "ofd_abs_percent_error", "bpd_abs_percent_error")
"""Columns of `metrics.biometry` that are curves of the validation."""
Order = Literal["canonical", "as_given", "coin_flip"]


class Landmarks(FromOutput):
    """Four end points, from heatmaps or as coordinates, whichever the network gives.

    A network with heatmaps has a `stride` and gives logits (B,4,h,w) (`heatmaps`); one without gives points (B,4,2),
    px. Ends have no order of their own: by default the OFD's left and the BPD's upper end come first, after
    augmentation, so that a mirrored image is labelled anew; metrics do not depend on the order.

    Args:
        terms: name -> loss of the network's output, `losses.landmarks.heatmap_mse` or `coordinate_l1`.
        geometry: name -> loss of the points alone, by `soft_argmax` where there are heatmaps.
        shares: name -> its part of the objective, of all terms and geometry; `decoded`, if it is there, is the part of
            the distance between soft-argmax and truth (integral regression, Sun et al., ECCV 2018).
        sigma: of the drawn Gaussians, canvas px.
        decoder: heatmaps -> points, in evaluation; of no use to coordinates.
        intensity: grey values as the network sees them (`networks.intensity`).
        order: `canonical`; `as_given`; `coin_flip` exchanges the ends of half the images, as in public labels; of which
            half is up to their pixels alone.
        learn_temperature: of soft-argmax, by `decoded` or `geometry`; else it is heatmaps.TEMPERATURE.

    Raises:
        ValueError: shares of other terms, an unknown order or intensity, a temperature that nothing would teach.
    """

    only_evaluated: ClassVar[frozenset[str]] = frozenset({"decoder"})

    @staticmethod
    def requires(settings: Mapping[str, Any]) -> tuple[str, ...]:
        return ("landmarks",)

    def __init__(
        self,
        network: nn.Module,
        optimizer: Callable[..., Any],
        terms: Mapping[str, Callable[..., Tensor]],
        shares: Mapping[str, float],
        sigma: float,
        decoder: Callable[[Tensor, float], Tensor],
        geometry: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
        intensity: Kind = "zscore",
        order: Order = "canonical",
        learn_temperature: bool = False,
        scheduler: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(network, optimizer, scheduler)
        self.terms, self.geometry, self.shares = dict(terms), dict(geometry or {}), dict(shares)
        if set(shares) - {"decoded"} != {*self.terms, *self.geometry}:
            raise ValueError(f"shares {list(shares)}: the terms are {[*self.terms, *self.geometry]}, and decoded")
        if order not in get_args(Order):
            raise ValueError(f"order={order!r} is not one of {', '.join(get_args(Order))}")
        if learn_temperature and not (self.geometry or shares.get("decoded")):
            raise ValueError("learn_temperature needs shares.decoded or geometry: nothing else depends on it")
        self.sigma, self.decoder, self.order = sigma, decoder, order
        self.intensity = Intensity(intensity)
        self.log_temperature = nn.Parameter(torch.tensor(TEMPERATURE).log(), requires_grad=learn_temperature)

    @property
    def stride(self) -> int | None:
        """px a cell of the network's heatmaps; None where it gives points."""
        return getattr(self.network, "stride", None)

    def prepare(self, batches: Iterable[Batch]) -> None:
        """The training images' range of grey values."""
        self.intensity.fit((batch["image"], inside(batch)) for batch in batches)

    def forward(self, image: Tensor, inside: Tensor) -> Tensor:
        """Logits (B,4,h,w) or points (B,4,2) of an image (B,1,H,W) in [0, 1]; inside: False in the padding."""
        return self.network(self.intensity(image, inside))

    def output(self, batch: Batch) -> Tensor:
        output: Tensor = self(batch["image"], inside(batch))
        return output

    def loss_terms(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        points = self._ordered(batch)
        weights = batch["label_weight"].nan_to_num(1) if "label_weight" in batch else None
        canvas = (batch["image"].shape[-2], batch["image"].shape[-1])
        where = (canvas,) if self.stride is None else (self.stride, self.sigma)
        found = {name: term(output, points, *where, sample_weights=weights) for name, term in self.terms.items()}
        if self.geometry or "decoded" in self.shares:
            decoded = self._soft(output)
            found |= {name: term(decoded) for name, term in self.geometry.items()}
            if "decoded" in self.shares:
                found["decoded"] = coordinate_l1(decoded, points, canvas, sample_weights=weights)
        return found

    def curves(self) -> dict[str, Metric]:
        """Means over validation images, of soft-argmax whatever the decoder: variants of decoders share a training."""
        return {name: MeanMetric(nan_strategy="ignore") for name in CURVES}

    def observe(self, output: Tensor, batch: Batch) -> dict[str, tuple[Tensor, ...]]:
        native = batch["native_px"][:, None]
        found = biometry(self._soft(output).float() * native, batch["landmarks"] * native)
        return {name: (found[name],) for name in CURVES}

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        return torch.stack([self.shares[name] * loss for name, loss in losses.items()]).sum()

    def loss_weights(self) -> dict[str, float]:
        return self.shares

    def _soft(self, output: Tensor) -> Tensor:
        if self.stride is None:
            return output
        return soft_argmax(output, self.stride, self.sigma, self.log_temperature.exp())

    def _ordered(self, batch: Batch) -> Tensor:
        """The true points (B,4,2), their ends in the order that is trained on."""
        points = batch["landmarks"]
        if self.order == "canonical":
            return canonical(points)
        if self.order == "as_given":
            return points
        return torch.where((batch["digest"] % 2 == 1)[:, None, None], _exchanged(points), points)

    def located(self, output: Tensor) -> Tensor:
        """Points (B,4,2), canvas px, of the network's output."""
        if self.stride is None:
            return output.float()
        decoder = self.decoder
        if isinstance(decoder, SoftArgmax):
            decoder = replace(decoder, temperature=self.log_temperature.exp())
        return decoder(output, self.stride).float()

    def rehearse(self, canvas: tuple[int, int]) -> None:
        """Raises ValueError where the network does not fit the canvas or gives another number of points."""
        blank = torch.zeros(2, 1, *canvas, device=self.log_temperature.device)
        output = self(blank, torch.ones_like(blank, dtype=torch.bool))
        if output.shape[1] != 4 or output.ndim != (3 if self.stride is None else 4):
            raise ValueError(
                f"the network gives {tuple(output.shape)}: heatmaps (B,4,h,w) or points (B,4,2) are needed"
            )

    def truth(self, batch: Batch) -> dict[str, Tensor]:
        return {"truth": batch["landmarks"]}

    def code(self, batch: Batch) -> Tensor:
        return deepest_code(self.network, lambda: self(batch["image"], inside(batch)))

    def doubts(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """Of heatmaps `uncertain`: the spread of the widest, canvas px."""
        return {} if self.stride is None else {"uncertain": answer["spread"].amax(1)}

    def traits(self, answer: Answer, batch: Batch) -> Tensor:
        """Where both diameters lie and how far they reach, in parts of the image's content, (B,8): ends that collapse,
        touch a border or are implausibly far apart show in it. The order of a diameter's ends has no part in it.
        """
        return placed(answer["points"].unflatten(1, (2, 2)), batch["content"])

    def difficulty(self, images: pd.DataFrame) -> pd.Series:
        return images["nme"]

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """The points (B,4,2), px, and of heatmaps the highest of the OFD's and of the BPD's two, (B,H,W) in [0, 1]."""
        answer = self.answer(batch["image"], batch["content"])
        shown = {"prediction": answer["points"]}
        if self.stride is not None:
            height, width = batch["image"].shape[-2:]
            maps = heatmap(answer["heatmaps"]).unflatten(1, (2, 2)).amax(2)
            large = F.interpolate(maps, scale_factor=self.stride, mode="nearest")[..., :height, :width]
            shown |= {f"heatmap {name}": values for name, values in zip(("OFD", "BPD"), large.unbind(1), strict=True)}
        return shown

    def answer(self, image: Tensor, content: Tensor) -> Answer:
        """`points` (B,4,2), canvas px; of a network with heatmaps also `heatmaps`, their logits (B,4,h,w), and for each
        of them `entropy` (B,4), nats, and `spread` (B,4), canvas px (`geometry.heatmaps.uncertainty`).
        """
        output = self(image, box_mask(content, (image.shape[-2], image.shape[-1])))
        found = {"points": self.located(output)}
        if self.stride is not None:
            sure = uncertainty(output, self.stride, self.log_temperature.exp().detach())
            found |= {"heatmaps": output, "entropy": sure["entropy"], "spread": sure["spread_px"]}
        return found

    def measure(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """`metrics.biometry` in native px, and in mm where the spacing is known; and what `describe` says."""
        native = batch["native_px"][:, None]
        found = biometry(answer["points"] * native, batch["landmarks"] * native, native_mm(batch))
        found |= self.describe(answer, batch)
        if "pixel_mm" in batch and "hc_mm" in batch:
            found["hc_expert_mm"] = batch["hc_mm"]
        return {name: values.float() for name, values in found.items()}

    def describe(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """`ofd_px`, `bpd_px`, `hc_px` in native px, `_mm` where the spacing is known; of heatmaps their uncertainty.

        `entropy` (nats) is the mean over landmarks; `ofd_spread_px`, `bpd_spread_px` (and `_mm`) how widely the
        heatmaps of both ends are spread, which ranks images and is no calibrated SD.
        """
        found = measured(answer["points"] * batch["native_px"][:, None], native_mm(batch))
        if self.stride is not None:
            found["entropy"] = answer["entropy"].mean(1)
            spreads = answer["spread"].unflatten(1, (2, 2)).square().sum(2).sqrt()
            for name, spread in zip(("ofd", "bpd"), spreads.unbind(1), strict=True):
                found[f"{name}_spread_px"] = spread * batch["native_px"].prod(1).sqrt()
                if "pixel_mm" in batch:
                    found[f"{name}_spread_mm"] = spread * batch["pixel_mm"]
        return {name: values.float() for name, values in found.items()}


def canonical(points: Tensor) -> Tensor:
    """Points (B,4,2) with the OFD's left end and the BPD's upper end first; missing ones stay missing.

    Where an OFD stands upright the order must change somewhere; no rule avoids that.
    """
    ofd, bpd = points[:, :2], points[:, 2:]
    pairs = [torch.where((p[:, 0, k] > p[:, 1, k])[:, None, None], p.flip(1), p) for k, p in ((0, ofd), (1, bpd))]
    return torch.cat(pairs, 1)


def _exchanged(points: Tensor) -> Tensor:
    return points.unflatten(1, (2, 2)).flip(2).flatten(1, 2)


def placed(pairs: Tensor, content: Tensor) -> Tensor:
    """Middle and extent, along x and y, of pairs of points (B,N,2,2), in parts of the content (B,4): (B, 4 N)."""
    corner, far = content[:, None, None].split(2, dim=3)
    ends = (pairs - corner) / (far - corner)
    return torch.cat([ends.mean(2), (ends[:, :, 0] - ends[:, :, 1]).abs()], 1).flatten(1)
