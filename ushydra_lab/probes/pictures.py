"""The pictures of what an autoencoder's decoder makes of codes that no image has (paper 1, Figure 7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder
from ushydra_lab.probes import interpolation, perturbation
from ushydra_lab.probes.interpolation import decoder_source, pair_indices, source_name


def _interpolation(network: ConvAutoencoder, data: UltrasoundData, size: float | None) -> Figure | None:
    """Between pairs of unseen images; None where there is but one."""
    unseen: Any = data.part_loader("test").dataset
    if not (rows := pair_indices(len(unseen))):
        return None
    images = unseen.__getitems__(rows)["image"]
    steps = interpolation.interpolate(network, images)
    return interpolation.draw(images[:, 0].numpy(), steps.numpy(), source_name(network))


def _perturbation(network: ConvAutoencoder, data: UltrasoundData, size: float | None) -> Figure | None:
    """Around the first unseen image, along the directions of validation images; None where there is but one."""
    seen: Any = data.part_loader("val").dataset
    unseen: Any = data.part_loader("test").dataset
    if len(seen) < 2:
        return None
    spread = np.linspace(0, len(seen) - 1, min(len(seen), perturbation.MOST_CODES))
    images = (seen.__getitems__([round(row)])["image"] for row in spread)
    with torch.inference_mode():
        codes = torch.cat([decoder_source(network, image) for image in images])
    image, size = unseen.__getitems__([0])["image"], size or perturbation.SIZE
    steps, shares = perturbation.perturb(network, image, codes, size)
    return perturbation.draw(image[0, 0].numpy(), steps.numpy(), shares.numpy(), size, source_name(network))


PICTURES: dict[str, Callable[[ConvAutoencoder, UltrasoundData, float | None], Figure | None]] = {
    "interpolation": _interpolation,
    "perturbation": _perturbation,
}
"""Name of the file in a run's figures/ -> its figure, of a network, the run's images and the size of a perturbation."""
