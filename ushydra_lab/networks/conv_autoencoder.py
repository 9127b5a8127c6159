"""Convolutional autoencoder of paper 1 (section 2.3, Table 7)."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DecoderInput = Literal["map", "latent", "grid"]


def _activated(layer: nn.Module) -> nn.Sequential:
    return nn.Sequential(layer, nn.LeakyReLU(0.1, inplace=True))


def grid_pool(features: Tensor, grid: tuple[int, int]) -> Tensor:
    """Adaptive average pooling (B, C, h, w) to (B, C, *grid), as products with averaging matrices.

    The library's own kernel has no deterministic backward on a GPU.
    """
    rows, columns = (
        F.adaptive_avg_pool1d(torch.eye(size, dtype=features.dtype, device=features.device), cells)
        for size, cells in zip(features.shape[-2:], grid, strict=True)
    )
    return rows.T @ features @ columns


class ConvAutoencoder(nn.Module):
    """Strided convolutions to a map of 1/16 of the canvas, a code z, and transposed convolutions back.

    `decoder_input` says what the decoder reads:

    - `map`: the bottleneck map. z = Linear(global average of the map) is for the probes only and no loss
      reaches it: its projection is frozen at its random initialisation, so z is a fixed random projection of
      the trained map's average.
    - `latent`: z alone, as printed (146,782,273 parameters at 872x1280). z hardly knows where anything is.
    - `grid`: z alone, but z = Linear(map averaged over each cell of `grid`) keeps position.

    Images whose sides are not multiples of 16 are extended to one and the output is cropped back. The border
    pixel is repeated: on a letterboxed border that is the black of the padding, elsewhere it makes no edge as
    zeros would.

    Args:
        canvas: (H, W) of the images in px. In `map` any other size is accepted too.
        decoder_input: see above.
        widths: channels after each encoder block; the decoder mirrors them.
        latent_dim: length of z.
        grid: (rows, columns) of cells, for `decoder_input="grid"` only.

    Raises:
        ValueError: unknown `decoder_input`, a canvas or grid that does not fit, or (in use) an unfit image.
    """

    def __init__(
        self,
        canvas: tuple[int, int],
        decoder_input: DecoderInput = "map",
        widths: Sequence[int] = (32, 64, 128, 256),
        latent_dim: int = 128,
        grid: tuple[int, int] = (4, 6),
    ) -> None:
        super().__init__()
        if decoder_input not in get_args(DecoderInput):
            raise ValueError(f"unknown decoder_input {decoder_input!r}: choose map, latent or grid")
        if min(canvas) < 1:
            raise ValueError(f"canvas must be (rows, columns) of at least 1 px, got {tuple(canvas)}")
        self.canvas, self.decoder_input = (canvas[0], canvas[1]), decoder_input
        self.stride = 2 ** len(widths)
        self.map_shape = (widths[-1], -(-canvas[0] // self.stride), -(-canvas[1] // self.stride))
        self.grid = (grid[0], grid[1]) if decoder_input == "grid" else (1, 1)
        if min(self.grid) < 1 or self.grid[0] > self.map_shape[1] or self.grid[1] > self.map_shape[2]:
            raise ValueError(f"grid {self.grid} does not fit the {self.map_shape[1]}x{self.map_shape[2]} map")

        ways = list(zip([1, *widths], widths, strict=False))
        self.encoder = nn.Sequential(
            *[_activated(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in ways],
            nn.Conv2d(widths[-1], widths[-1], 1),
        )
        self.to_code = nn.Linear(widths[-1] * self.grid[0] * self.grid[1], latent_dim)
        if decoder_input == "map":
            self.to_code.requires_grad_(False)
        else:
            self.from_code = nn.Linear(latent_dim, self.map_shape[0] * self.map_shape[1] * self.map_shape[2])
        self.decoder = nn.Sequential(
            *[_activated(nn.ConvTranspose2d(b, a, 4, stride=2, padding=1)) for a, b in reversed(ways[1:])],
            nn.ConvTranspose2d(widths[0], 1, 4, stride=2, padding=1),
        )

    def _padding(self, height: int, width: int) -> tuple[int, int, int, int]:
        rows, columns = -height % self.stride, -width % self.stride
        return columns // 2, columns - columns // 2, rows // 2, rows - rows // 2

    def _features(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] != 1:
            raise ValueError(f"expected images of shape (B, 1, H, W), got {tuple(x.shape)}")
        if self.decoder_input != "map" and tuple(x.shape[-2:]) != self.canvas:
            raise ValueError(
                f"with decoder_input={self.decoder_input!r} images must have the canvas {self.canvas}, "
                f"got {tuple(x.shape[-2:])}: rebuild the network for that canvas or use 'map'"
            )
        return self.encoder(F.pad(x, self._padding(*x.shape[-2:]), mode="replicate"))

    def _code(self, features: Tensor) -> Tensor:
        return self.to_code(grid_pool(features, self.grid).flatten(1))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Code z (B, latent_dim) and bottleneck map (B, C, ceil(H/16), ceil(W/16)) of images (B, 1, H, W)."""
        features = self._features(x)
        return self._code(features), features

    def decode(self, source: Tensor, shape: tuple[int, int] | None = None) -> Tensor:
        """Image (B, 1, *shape) in [0, 1], from a map (B, C, h, w) with `map`, else from a code z.

        `shape` is the image's (H, W) in px, the canvas by default.
        """
        height, width = shape or self.canvas
        if self.decoder_input != "map":
            source = self.from_code(source).unflatten(1, self.map_shape)
        logits = self.decoder(source)
        left, _, top, _ = self._padding(height, width)
        # Grey levels need more than the 8 bits of a bfloat16: the sigmoid runs in the weights' own type.
        logits = logits[..., top : top + height, left : left + width].to(self.decoder[-1].weight.dtype)
        return torch.sigmoid(logits)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruction of (B, 1, H, W) images in [0, 1], of the same shape."""
        features = self._features(x)
        source = features if self.decoder_input == "map" else self._code(features)
        return self.decode(source, (x.shape[-2], x.shape[-1]))
