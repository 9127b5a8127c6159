"""What another machine or setting does to an image, in graded strengths, to see how a trained network bears it.

Each takes images (B, 1, H, W) in [0, 1], a strength and a generator on their device, and returns images in [0, 1].
"""

from collections.abc import Callable

import torch
from torch import Tensor

Perturbation = Callable[[Tensor, float, torch.Generator], Tensor]


def noise(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Additive Gaussian noise; strength: its standard deviation, in the range of the image."""
    return (image + strength * _normal(image, generator)).clamp(0, 1)


def speckle(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Multiplicative Gaussian noise; strength: its standard deviation, relative."""
    return (image * (1 + strength * _normal(image, generator))).clamp(0, 1)


def contrast(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Grey values drawn away from, or with a strength below 1 towards, the image's mean; strength: the factor."""
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    return (mean + strength * (image - mean)).clamp(0, 1)


def gain(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Receiver gain: what is added to a log-compressed image; strength: in its range, 0.1 being 6 dB of 60."""
    return torch.where(image > 0, image + strength, 0).clamp(0, 1)


def _normal(image: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(image.shape, generator=generator, device=image.device, dtype=image.dtype)


SWEEPS: dict[str, tuple[Perturbation, tuple[float, ...]]] = {
    "noise": (noise, (0.0, 0.025, 0.05, 0.1, 0.2)),
    "speckle": (speckle, (0.0, 0.1, 0.2, 0.4, 0.8)),
    "contrast": (contrast, (0.4, 0.6, 0.8, 1.0, 1.25, 1.5)),
    "gain": (gain, (-0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2)),
}
"""Name -> the perturbation and its strengths; one of them changes nothing."""
