"""Base of the USHydraNet tasks: each image has a quality, and each quality a decoder of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from ushydra_lab.losses.segmentation import IGNORE
from ushydra_lab.networks.activation import deepest_code
from ushydra_lab.networks.routing import Hydra
from ushydra_lab.tasks.base import Batch
from ushydra_lab.tasks.classification import Codes
from ushydra_lab.tasks.from_logits import FromLogits


class ByQuality(FromLogits):
    """A task with one decoder per quality: `domains` are words of the annotation `quality` in the decoders' order.

    A network with one decoder, the control, sends every image to it; `domains` then only says what an image's is.
    """

    network: Hydra

    def __init__(self, network: Hydra, *args: Any, domains: Sequence[str], **settings: Any) -> None:
        """Raises ValueError for words that are no quality, or not one for each decoder."""
        super().__init__(network, *args, **settings)
        self.domains = Codes("quality", domains)
        if len(network.decoders) not in (1, len(domains)):
            raise ValueError(f"{len(network.decoders)} decoders, but domains={list(domains)}: one each, or one for all")

    @property
    def single(self) -> bool:
        return len(self.network.decoders) == 1

    def forward(self, image: Tensor) -> Tensor:
        """Logits by the first decoder, for their shape."""
        return self.network.decode(self.network.encode(image), 0).float()

    def code(self, batch: Batch) -> Tensor:
        """Codes (B, C) of the encoder that all images go through; of several, the first."""
        encoder = self.network.encoders[0]
        return deepest_code(encoder, lambda: self.network.encode(batch["image"]))

    def own_decoder(self, batch: Batch) -> Tensor:
        """The decoder (B,) of each image's own domain, -1 where that is unknown."""
        return torch.zeros_like(batch["record"]) if self.single else self.domains(batch)

    def categories(self) -> dict[str, tuple[str, list[str]]]:
        own = {} if self.single else {"domains": (self.domains.category, self.domains.words)}
        return super().categories() | own

    def lacking(self, batch: Batch) -> dict[str, Tensor]:
        return super().lacking(batch) | {str(self.domains): self.own_decoder(batch) < 0}

    def prepare(self, batches: Iterable[Batch]) -> None:
        self.refuse(batches)
        super().prepare(batches)


def blank_unknown(known: Tensor, pictures: dict[str, Tensor]) -> dict[str, Tensor]:
    """The pictures with those of unknown images blank; none where no image is known."""
    return where_known(known, pictures) if known.any() else {}


def where_known(known: Tensor, values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Values (B, ...) with NaN in the images that are not known; pictures of labels with IGNORE."""
    return {name: _blank(known.to(value.device), value) for name, value in values.items()}


def _blank(known: Tensor, value: Tensor) -> Tensor:
    known = known.view(-1, *[1] * (value.ndim - 1))
    if value.ndim == 3 and not value.is_floating_point():
        return torch.where(known, value, IGNORE)
    return torch.where(known, value.float(), torch.nan)
