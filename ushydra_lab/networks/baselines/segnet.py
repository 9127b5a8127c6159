"""SegNet of Badrinarayanan et al. 2017."""

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from ushydra_lab.networks.baselines.images import require

DEPTHS = (2, 2, 3, 3, 3)
"""Convolutions of each stage: VGG16's thirteen."""


def _stage(channels: Sequence[int]) -> nn.Sequential:
    """3x3 convolutions from each number of channels to the next, each with batch norm and ReLU."""
    layers: list[nn.Module] = []
    for a, b in pairwise(channels):
        layers += [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class SegNet(nn.Module):
    """VGG16's convolutions and their mirror image; a decoder stage unpools with the places of the encoder's maxima.

    For one channel and two classes it has 29.4 M parameters. No skip connection carries features. The last
    convolution gives the logits, without batch norm. Weights start as He et al. 2015 draw them, as in the paper.

    On a GPU, PyTorch names unpooling as not reproducible; here it is, because pooling windows do not overlap and
    so no two values go to the same place.

    Args:
        classes: labels, the background included.
        in_channels: of the image.
        widths: channels of the five stages, finest first; each halves the image.

    Raises:
        ValueError: not five widths, or (in use) an image of other channels or under 32 px.
    """

    def __init__(self, classes: int, in_channels: int = 1, widths: Sequence[int] = (64, 128, 256, 512, 512)) -> None:
        super().__init__()
        if len(widths) != len(DEPTHS) or min(widths) < 1:
            raise ValueError(f"SegNet has {len(DEPTHS)} stages of at least one channel, got widths {list(widths)}")
        self.in_channels = in_channels
        finer = [in_channels, *widths[:-1]]
        self.encoder = nn.ModuleList(_stage([a, *[b] * n]) for a, b, n in zip(finer, widths, DEPTHS, strict=True))
        up = zip([widths[0], *widths[:-1]], widths, DEPTHS, strict=True)
        stages = [_stage([*[b] * n, a]) for a, b, n in up]
        stages[0] = nn.Sequential(*list(stages[0])[:-3], nn.Conv2d(widths[0], classes, 3, padding=1))
        self.decoder = nn.ModuleList(reversed(stages))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes, H, W) of images (B, in_channels, H, W) of any size from 32 px."""
        x = require(x, self.in_channels, 2 ** len(DEPTHS))
        pooled: list[tuple[Tensor, list[int]]] = []
        for stage in self.encoder:
            features = stage(x)
            x, places = F.max_pool2d(features, 2, return_indices=True)
            pooled.append((places, list(features.shape[-2:])))
        for stage, (places, size) in zip(self.decoder, reversed(pooled), strict=True):
            x = stage(F.max_unpool2d(x, places, [2, 2], output_size=size))
        return x
