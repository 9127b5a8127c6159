"""Heatmap U-Net of paper 2, with one decoder for all points or several on one encoder ("multi-head", hypothesis 3)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ushydra_lab.networks.unet import Decoder, Encoder, cropped, extended


class HeatmapUNet(nn.Module):
    """Plain U-Net that draws one heatmap per landmark; gives logits.

    Cell (i, j) of a heatmap covers canvas px [j s, (j+1) s) x [i s, (i+1) s), s = `stride`, and has its centre at
    ((j + 0.5) s, (i + 0.5) s). Sides that are not multiples of s have a last cell that reaches beyond the canvas.

    Sides that are not multiples of the encoder's reduction 2 ** (len(widths) - 1) are extended at the bottom and
    right by repeating the border pixel, and the heatmaps are cropped back. Moving the image by such a multiple moves
    the heatmaps with it, away from the borders; smaller moves do so only nearly, as in every network that pools.

    Args:
        points: heatmaps.
        in_channels: of the image.
        widths: channels from the finest level to the coarsest; each level halves the image.
        heads: how many points each decoder draws, in the order of the points: [2, 2] is an OFD and a BPD decoder.
            By default one decoder draws all.
        stride: 1 for heatmaps of the canvas' own size; 2 leaves the finest level out of every decoder, the one where
            most of the time goes.

    Raises:
        ValueError: heads that do not add up to `points`, another stride, fewer than two widths (three at stride 2),
            or (in use) an image of other channels or smaller than the encoder's reduction.
    """

    def __init__(
        self,
        points: int = 4,
        in_channels: int = 1,
        widths: Sequence[int] = (32, 64, 128, 256),
        heads: Sequence[int] | None = None,
        stride: int = 2,
    ) -> None:
        super().__init__()
        heads = [points] if heads is None else list(heads)
        if min(heads, default=0) < 1 or sum(heads) != points:
            raise ValueError(f"heads {heads} must each draw at least one point, {points} in all")
        if stride not in (1, 2):
            raise ValueError(f"unknown stride {stride}: choose 1 or 2")
        if len(widths) < stride + 1:
            raise ValueError(f"at stride {stride} a heatmap U-Net needs at least {stride + 1} widths: {list(widths)}")
        drawn = widths[stride - 1 :]
        self.stride = stride
        self.encoder = Encoder(in_channels, widths)
        self.decoders = nn.ModuleList(Decoder(drawn, attention=False, upsampling="transposed") for _ in heads)
        self.heads = nn.ModuleList(nn.Conv2d(drawn[0], count, 1) for count in heads)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, points, ceil(H / stride), ceil(W / stride)) of normalised images (B, in_channels, H, W)."""
        features = self.encoder(extended(x, self.encoder.in_channels, self.encoder.stride))[self.stride - 1 :]
        maps = [head(decoder(features)[0]) for decoder, head in zip(self.decoders, self.heads, strict=True)]
        return cropped(torch.cat(maps, 1), x, self.stride)
