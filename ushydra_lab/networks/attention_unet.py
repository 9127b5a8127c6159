"""Attention U-Net of the fetal brain thesis (section 3.4), after Ronneberger et al. 2015 and Oktay et al. 2018."""

from collections.abc import Sequence
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
    """How much of a skip connection passes at each pixel: sigmoid(psi(relu(W_x skip + W_g signal))).

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


class _Decoder(nn.Module):
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


class AttentionUNet(nn.Module):
    """Double convolutions with batch norm and ReLU, max pooling, and gated skip connections; gives logits.

    For one channel and four classes it has 31.4 M parameters, with bilinear upsampling 34.9 M (15.0 M if `widths`
    start from 42). The thesis prints 15.1 M at 64, which fits no build that it describes.

    Images whose sides are not multiples of 16 are extended to one by repeating the border pixel, and the output
    is cropped back.

    Weights start as PyTorch's own (uniform, within 1 / sqrt of the inputs); the thesis gives no rule. Behind batch
    norm only their direction matters.

    On a GPU every operation is reproducible or has a reproducible form that PyTorch takes in its deterministic
    mode: bilinear upsampling is then slower. Pooling windows do not overlap, so no two gradients meet.

    Args:
        classes: labels, the background included.
        in_channels: of the image.
        widths: channels from the finest level to the coarsest; each level halves the image.
        attention: gates on the skips; without them it is the plain U-Net.
        upsampling: `transposed` (2x2) or `bilinear`, followed by a 3x3 convolution.

    Raises:
        ValueError: unknown `upsampling`, under two widths, or (in use) an image of other channels or too small.
    """

    def __init__(
        self,
        classes: int,
        in_channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        attention: bool = True,
        upsampling: Upsampling = "transposed",
    ) -> None:
        super().__init__()
        if upsampling not in get_args(Upsampling):
            raise ValueError(f"unknown upsampling {upsampling!r}: choose transposed or bilinear")
        if len(widths) < 2:
            raise ValueError(f"a U-Net needs at least two widths, got {list(widths)}")
        self.in_channels, self.stride, self.attention = in_channels, 2 ** (len(widths) - 1), attention
        ways = list(zip([in_channels, *widths], widths, strict=False))
        self.encoder = nn.ModuleList(_double_conv(a, b) for a, b in ways)
        self.decoder = nn.ModuleList(_Decoder(b, a, attention, upsampling) for a, b in reversed(ways[1:]))
        self.head = nn.Conv2d(widths[0], classes, 1)

    def _padded(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] != self.in_channels or min(x.shape[-2:]) < self.stride:
            raise ValueError(
                f"expected images of shape (B, {self.in_channels}, H, W) with sides of at least {self.stride} px, "
                f"got {tuple(x.shape)}"
            )
        (top, left), (rows, columns) = self._corner(x), (-side % self.stride for side in x.shape[-2:])
        return F.pad(x, (left, columns - left, top, rows - top), mode="replicate")

    def _corner(self, x: Tensor) -> tuple[int, int]:
        """Row and column of the padded image at which the image begins."""
        return -x.shape[-2] % self.stride // 2, -x.shape[-1] % self.stride // 2

    def _cropped(self, maps: Tensor, x: Tensor) -> Tensor:
        top, left = self._corner(x)
        return maps[..., top : top + x.shape[-2], left : left + x.shape[-1]]

    def _features(self, x: Tensor) -> tuple[Tensor, list[Tensor | None]]:
        """Finest decoder features of a padded image, and the gates from the coarsest to the finest."""
        skips: list[Tensor] = []
        for block in self.encoder:
            x = block(F.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        skips.pop()
        gates = []
        for block in self.decoder:
            x, gate = block(x, skips.pop())
            gates.append(gate)
        return x, gates

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes, H, W) of images (B, in_channels, H, W)."""
        features, _ = self._features(self._padded(x))
        return self._cropped(self.head(features), x)

    @torch.no_grad()
    def gates(self, x: Tensor) -> Tensor:
        """Attention maps (B, levels, H, W) in (0, 1), finest level first, each px repeated to the image's size.

        As with `forward`, the network should be in evaluation mode.

        Raises:
            ValueError: the network has no gates, or an image as in `forward`.
        """
        if not self.attention:
            raise ValueError("a plain U-Net (attention=False) has no gates")
        padded = self._padded(x)
        _, gates = self._features(padded)
        maps = [F.interpolate(gate, padded.shape[-2:]) for gate in reversed(gates) if gate is not None]
        return self._cropped(torch.cat(maps, 1), x)
