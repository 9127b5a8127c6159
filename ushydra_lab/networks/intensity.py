"""Grey values as a network sees them (paper 2, preprocessing experiments): applied after resizing and augmentation."""

from collections.abc import Iterable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

Kind = Literal["unit", "dataset_minmax", "image_minmax", "zscore"]
LEAST = 1e-3
"""Of ranges and deviations: an image of a single grey value stays finite."""


class Intensity(nn.Module):
    """Image x in [0, 1] becomes (x - offset) / scale; what is outside `inside` counts nowhere (after a rotation
    the content's box has black corners, which count), and is mapped as black is.

    `unit`: as it is; `dataset_minmax`: the training images' lowest and highest values become 0 and 1 (fitted, and saved
    with the model); `image_minmax`: each image's own; `zscore`: each image's mean becomes 0, its SD (ddof 0) 1.

    Raises:
        ValueError: another kind.
    """

    low: Tensor
    high: Tensor

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        if kind not in get_args(Kind):
            raise ValueError(f"intensity={kind!r} is not one of {', '.join(get_args(Kind))}")
        self.kind = kind
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.ones(()))

    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Fit to batches of training images, as in `forward`; needed by `dataset_minmax` alone."""
        if self.kind == "dataset_minmax":
            limits = [_limits(image, inside) for image, inside in batches]
            self.low.copy_(torch.cat([low for low, _ in limits]).min())
            self.high.copy_(torch.cat([high for _, high in limits]).max())

    def forward(self, image: Tensor, inside: Tensor) -> Tensor:
        """image (B,1,H,W) in [0, 1]; inside (B,1,H,W) bool, False in the padding."""
        if self.kind == "unit":
            return image
        if self.kind == "dataset_minmax":
            return (image - self.low) / (self.high - self.low).clamp(min=LEAST)
        if self.kind == "image_minmax":
            low, high = (limit.view(-1, 1, 1, 1) for limit in _limits(image, inside))
            return (image - low) / (high - low).clamp(min=LEAST)
        count = inside.sum((1, 2, 3), keepdim=True)
        mean = (image * inside).sum((1, 2, 3), keepdim=True) / count
        variance = ((image - mean).square() * inside).sum((1, 2, 3), keepdim=True) / count
        return (image - mean) / variance.sqrt().clamp(min=LEAST)


def _limits(image: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest value of each image (B,)."""
    low = image.masked_fill(~inside, torch.inf).flatten(1).amin(1)
    return low, image.masked_fill(~inside, -torch.inf).flatten(1).amax(1)
