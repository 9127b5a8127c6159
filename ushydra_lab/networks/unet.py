"""The parts of a U-Net (Ronneberger et al. 2015), from which networks with one decoder or several are put together."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Upsampling = Literal["transposed", "bilinear"]


def _normalised(a: int, b: int, size: int) -> list[nn.Module]:
    """Convolution and batch norm; the norm's shift is the bias."""
    return [nn.Conv2d(a, b, size, padding=size // 2, bias=False), nn.BatchNorm2d(b)]


def _double_conv(a: int, b: int) -> nn.Sequential:
    layers = [*_normalised(a, b, 3), nn.ReLU(inplace=True), *_normalised(b, b, 3), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _upsampling(a: int, b: int, how: Upsampling) -> nn.Module:
    if how == "transposed":
        return nn.ConvTranspose2d(a, b, 2, stride=2)
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), *_normalised(a, b, 3), nn.ReLU(inplace=True))


class AttentionGate(nn.Module):
    """Weighs a skip connection at each pixel: sigmoid(psi(relu(W_x skip + W_g signal))).

    W_x, W_g and psi are 1x1 convolutions, each with batch norm; inside there are half as many channels. Oktay
    et al. take the signal from the coarser level and enlarge the map; here the signal is enlarged first, so
    both have the skip's resolution. At the start the map's logits have mean 0: gates are about half open.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 2)
        self.skip = nn.Sequential(*_normalised(channels, inner, 1))
        self.signal = nn.Sequential(*_normalised(channels, inner, 1))
        self.psi = nn.Sequential(*_normalised(inner, 1, 1))

    def forward(self, skip: Tensor, signal: Tensor) -> Tensor:
        """Attention (B, 1, h, w) in (0, 1), of encoder and enlarged decoder features, both (B, C, h, w)."""
        return torch.sigmoid(self.psi(F.relu(self.skip(skip) + self.signal(signal))))


class _Step(nn.Module):
    """One step up: enlarge, gate the skip, join, double convolution."""

    def __init__(self, below: int, channels: int, attention: bool, upsampling: Upsampling) -> None:
        super().__init__()
        self.up = _upsampling(below, channels, upsampling)
        self.gate = AttentionGate(channels) if attention else None
        self.conv = _double_conv(2 * channels, channels)

    def forward(self, x: Tensor, skip: Tensor) -> tuple[Tensor, Tensor | None]:
        x = self.up(x)
        gate = None if self.gate is None else self.gate(skip, x)
        skip = skip if gate is None else skip * gate
        return self.conv(torch.cat([skip, x], 1)), gate


class Encoder(nn.ModuleList):
    """Double convolutions with batch norm and ReLU, with max pooling between them."""

    def __init__(self, in_channels: int, widths: Sequence[int]) -> None:
        """widths: channels from the finest level to the coarsest, at least two. Raises ValueError."""
        if len(widths) < 2 or min(widths) < 1:
            raise ValueError(f"a U-Net needs at least two widths of at least one channel, got {list(widths)}")
        super().__init__(_double_conv(a, b) for a, b in zip([in_channels, *widths], widths, strict=False))
        self.in_channels, self.stride = in_channels, 2 ** (len(widths) - 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features from the finest level to the coarsest, each half as large, of images (B, in_channels, H, W)."""
        features: list[Tensor] = []
        for block in self:
            features.append(block(F.max_pool2d(features[-1], 2) if features else x))
        return features

    def padded(self, x: Tensor) -> Tensor:
        """Images whose sides are not multiples of `stride` are extended to one by repeating the border pixel.

        Raises:
            ValueError: an image of other channels, or smaller than `stride`.
        """
        if x.ndim != 4 or x.shape[1] != self.in_channels or min(x.shape[-2:]) < self.stride:
            raise ValueError(
                f"expected images of shape (B, {self.in_channels}, H, W) with sides of at least {self.stride} px, "
                f"got {tuple(x.shape)}"
            )
        (top, left), (rows, columns) = self._corner(x), (-side % self.stride for side in x.shape[-2:])
        return F.pad(x, (left, columns - left, top, rows - top), mode="replicate")

    def cropped(self, maps: Tensor, x: Tensor) -> Tensor:
        """The part of maps of a padded image that belongs to the image x."""
        top, left = self._corner(x)
        return maps[..., top : top + x.shape[-2], left : left + x.shape[-1]]

    def _corner(self, x: Tensor) -> tuple[int, int]:
        """Row and column of the padded image at which the image begins."""
        return -x.shape[-2] % self.stride // 2, -x.shape[-1] % self.stride // 2


class Decoder(nn.ModuleList):
    """Enlarges the coarsest features step by step, each joined with the encoder's of that size, gated or not."""

    def __init__(self, widths: Sequence[int], attention: bool, upsampling: Upsampling) -> None:
        """widths: the encoder's. Raises ValueError."""
        if upsampling not in get_args(Upsampling):
            raise ValueError(f"unknown upsampling {upsampling!r}: choose transposed or bilinear")
        ways = reversed(list(pairwise(widths)))
        super().__init__(_Step(below, channels, attention, upsampling) for channels, below in ways)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, list[Tensor | None]]:
        """The finest decoder features (B, widths[0], H, W), and the gates from the coarsest level to the finest."""
        x, gates = features[-1], []
        for step, skip in zip(self, reversed(features[:-1]), strict=True):
            x, gate = step(x, skip)
            gates.append(gate)
        return x, gates


def extended(x: Tensor, in_channels: int, multiple: int) -> Tensor:
    """Images (B, in_channels, H, W) with sides extended to multiples of `multiple` px, at the bottom and the right.

    The border pixel is repeated. As the image keeps its first row and column, cell (i, j) of a map of stride s is
    px [j s, (j+1) s) x [i s, (i+1) s) of the image whatever its size; centred padding would shift odd sizes by a
    fraction of a cell.

    Raises:
        ValueError: an image of other channels, or smaller than `multiple`.
    """
    if x.ndim != 4 or x.shape[1] != in_channels or min(x.shape[-2:]) < multiple:
        raise ValueError(
            f"expected images of shape (B, {in_channels}, H, W) with sides of at least {multiple} px, "
            f"got {tuple(x.shape)}"
        )
    return F.pad(x, (0, -x.shape[-1] % multiple, 0, -x.shape[-2] % multiple), mode="replicate")


def cropped(maps: Tensor, x: Tensor, stride: int) -> Tensor:
    """The cells (B, P, ceil(H / stride), ceil(W / stride)) of an extended image's maps that touch the image x."""
    return maps[..., : -(-x.shape[-2] // stride), : -(-x.shape[-1] // stride)]
