"""Compact high-resolution network, after Sun et al. 2019 (CVPR, "Deep High-Resolution Representation Learning")."""

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ushydra_lab.networks.unet import cropped, extended


def _conv(a: int, b: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution and batch norm; the norm's shift is the bias."""
    return nn.Sequential(nn.Conv2d(a, b, size, stride, (size - 1) // 2, bias=False), nn.BatchNorm2d(b))


def _halved(a: int, b: int) -> nn.Sequential:
    """4x4 windows, so that an output cell has its centre in the middle of its 2x2 inputs; 3x3 is half a px off."""
    return _conv(a, b, size=4, stride=2)


class _Residual(nn.Module):
    """The basic block of He et al. 2016: two 3x3 convolutions and the input added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(channels, channels), nn.ReLU(inplace=True), _conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


def _exchanged(widths: Sequence[int], source: int, target: int) -> nn.Sequential:
    """From one branch to another: 1x1 convolution and nearest px upwards, one 4x4/2 convolution a halving downwards."""
    a, b = widths[source], widths[target]
    if source == target:
        return nn.Sequential()
    if source > target:
        return nn.Sequential(_conv(a, b, size=1), nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"))
    passing = [layer for _ in range(target - source - 1) for layer in (_halved(a, a), nn.ReLU(inplace=True))]
    return nn.Sequential(*passing, _halved(a, b))


class _Fusion(nn.ModuleList):
    """The sum over all branches, each brought to the target's channels and resolution."""

    def __init__(self, widths: Sequence[int], target: int) -> None:
        super().__init__(_exchanged(widths, source, target) for source in range(len(widths)))

    def forward(self, branches: Sequence[Tensor]) -> Tensor:
        return F.relu(reduce(torch.add, [way(x) for way, x in zip(self, branches, strict=True)]))


class _ExchangeUnit(nn.Module):
    """A residual block on each branch, then the first `kept` branches each take up all."""

    def __init__(self, widths: Sequence[int], kept: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Residual(channels) for channels in widths)
        self.fusions = nn.ModuleList(_Fusion(widths, target) for target in range(kept))

    def forward(self, branches: Sequence[Tensor]) -> list[Tensor]:
        branches = [block(x) for block, x in zip(self.blocks, branches, strict=True)]
        return [fusion(branches) for fusion in self.fusions]


class HRNet(nn.Module):
    """Three parallel branches at 1/4, 1/8 and 1/16 of the image that exchange features; gives heatmap logits.

    Heatmaps are drawn by a 1x1 convolution from the finest branch, at stride 4: cell (i, j) covers canvas px
    [4j, 4j + 4) x [4i, 4i + 4) and has its centre at (4j + 2, 4i + 2). Sides that are not multiples of 16 are
    extended at the bottom and right by repeating the border pixel, and the heatmaps are cropped back; the last cell
    may reach beyond the canvas. Moving the image by 16 px moves the heatmaps by four cells, away from the borders.

    Simplified from HRNet-W32 (28.5 M parameters; this has 1.2 M): three branches, from the start, instead of one
    more per stage up to four; no bottleneck stage after the stem; one residual block per branch between exchanges
    instead of four; `modules` exchange units instead of eight. Convolutions that halve are 4x4 instead of 3x3, so
    that a cell's centre is where the docstring says.

    Args:
        points: heatmaps.
        in_channels: of the image.
        widths: channels of the three branches, finest first.
        modules: exchange units; the last one keeps only the finest branch.

    Raises:
        ValueError: not three widths, no point, no exchange unit, or (in use) an image of other channels or with sides
            under 16 px.
    """

    def __init__(
        self, points: int = 4, in_channels: int = 1, widths: Sequence[int] = (32, 64, 128), modules: int = 2
    ) -> None:
        super().__init__()
        if len(widths) != 3 or min(widths) < 1:
            raise ValueError(f"HRNet has three branches of at least one channel, got widths {list(widths)}")
        if min(points, modules) < 1:
            raise ValueError(f"HRNet needs a point and an exchange unit, got points={points}, modules={modules}")
        self.in_channels, self.stride, self.reduction = in_channels, 4, 16
        ways = zip([in_channels, widths[0], *widths], [widths[0], *widths], strict=False)
        # The first two halvings are the stem, each of the others opens a branch.
        self.halvings = nn.ModuleList(nn.Sequential(_halved(a, b), nn.ReLU(inplace=True)) for a, b in ways)
        kept = [len(widths)] * (modules - 1) + [1]
        self.units = nn.Sequential(*[_ExchangeUnit(widths, count) for count in kept])
        self.head = nn.Conv2d(widths[0], points, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, points, ceil(H / 4), ceil(W / 4)) of normalised images (B, in_channels, H, W)."""
        features, branches = extended(x, self.in_channels, self.reduction), []
        for halving in self.halvings:
            features = halving(features)
            branches.append(features)
        return cropped(self.head(self.units(branches[1:])[0]), x, self.stride)
