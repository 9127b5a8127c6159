"""Perturbations of images in graded strengths, as other machines or settings cause them, to test robustness.

Each takes images (B, 1, H, W) in [0, 1], a strength, a generator on their device and the `content` of the batch, boxes
(B, 4) px; it returns images in [0, 1]. Padding, outside `content`, is left as it is and decides nothing.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ushydra_lab.data.augment import content_mask

Perturbation = Callable[[Tensor, float, torch.Generator, Tensor], Tensor]


def noise(image: Tensor, strength: float, generator: torch.Generator, content: Tensor) -> Tensor:
    """Additive Gaussian noise; strength: its standard deviation, in the range of the image."""
    return _changed(image, image + strength * _normal(image, generator), content)


def speckle(image: Tensor, strength: float, generator: torch.Generator, content: Tensor) -> Tensor:
    """Multiplicative Gaussian noise; strength: its standard deviation, relative."""
    return _changed(image, image * (1 + strength * _normal(image, generator)), content)


def contrast(image: Tensor, strength: float, generator: torch.Generator, content: Tensor) -> Tensor:
    """Grey values drawn away from, or with a strength below 1 towards, the image's mean; strength: the factor."""
    inside = content_mask(content, image)
    mean = (image * inside).sum((1, 2, 3), keepdim=True) / inside.sum((1, 2, 3), keepdim=True)
    return _changed(image, mean + strength * (image - mean), content)


def gain(image: Tensor, strength: float, generator: torch.Generator, content: Tensor) -> Tensor:
    """Receiver gain: what is added to a log-compressed image; strength: in its range, 0.1 being 6 dB of 60."""
    return _changed(image, torch.where(image > 0, image + strength, 0), content)


def _changed(image: Tensor, changed: Tensor, content: Tensor) -> Tensor:
    return torch.where(content_mask(content, image), changed.clamp(0, 1), image)


def _normal(image: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(image.shape, generator=generator, device=image.device, dtype=image.dtype)


SWEEPS: dict[str, tuple[Perturbation, tuple[float, ...]]] = {
    "noise": (noise, (0.0, 0.025, 0.05, 0.1, 0.2)),
    "speckle": (speckle, (0.0, 0.1, 0.2, 0.4, 0.8)),
    "contrast": (contrast, (0.4, 0.6, 0.8, 1.0, 1.25, 1.5)),
    "gain": (gain, (-0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2)),
}
"""Name -> the perturbation and its strengths; one of them changes nothing."""
