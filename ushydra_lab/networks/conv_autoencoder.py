"""Convolutional autoencoder of paper 1 (section 2.3, Table 7)."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DecoderInput = Literal["map", "latent", "grid"]
Auxiliary = Literal["none", "detached", "joint"]
THUMBNAIL = 24, 32
"""(rows, columns) of the image that an auxiliary decoder makes of z, whatever the canvas."""


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


class RunningStandardise(nn.Module):
    """Subtracts a running mean of the training batches from features (B, C) and divides by their running SD.

    The average of a map is nearly the same in all images: without it a code learns what differs far too slowly. Running
    values rather than the batch's, which may be a single image.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C) to (B, C); in training the running values move a tenth of the way to the batch's first."""
        if self.training:
            seen = x.detach().float()
            self.mean.lerp_(seen.mean(0), 0.1)
            self.variance.lerp_((seen - self.mean).square().mean(0), 0.1)
        return (x - self.mean) / (self.variance + 1e-5).sqrt()


def _thumbnail_decoder(latent_dim: int) -> nn.Sequential:
    """z (B, latent_dim) -> image (B, 1, *THUMBNAIL) in [0, 1], built without a trace in torch's random stream.

    Linear: on validation images better than with transposed convolutions, which learned the training images by heart.
    """
    rows, columns = THUMBNAIL
    with torch.random.fork_rng(devices=[]):  # all other weights, and what is drawn later, are as without it
        return nn.Sequential(nn.Linear(latent_dim, rows * columns), nn.Unflatten(1, (1, rows, columns)), nn.Sigmoid())


class ConvAutoencoder(nn.Module):
    """Strided convolutions to a map of 1/16 of the canvas, a code z, and transposed convolutions back.

    `decoder_input` says what the decoder reads:

    - `map`: the bottleneck map. z = Linear(global average of the map) is for the probes only, and `auxiliary`
      says what trains it; where something does, the average is standardised first.
    - `latent`: z alone, as printed (146,782,273 parameters at 872x1280). z hardly knows where anything is.
    - `grid`: z alone, but z = Linear(map averaged over each cell of `grid`) keeps position.

    Images whose sides are not multiples of 16 are extended to one and the output is cropped back. The border
    pixel is repeated: on a letterboxed border that is the black of the padding, elsewhere it makes no edge as
    zeros would.

    `auxiliary` says what trains z in `map`; elsewhere the decoder does, and there is no auxiliary decoder:

    - `none`: nothing. Its projection is frozen at its random initialisation.
    - `detached`: a linear decoder that makes a low-resolution image of z. Its gradient ends at the map: every other
      weight is, to the bit, what it is without (unless gradients are clipped by the norm of all of them).
    - `joint`: the same, and its gradient trains the encoder too.

    A subclass changes `decode`, not `forward`: with an auxiliary decoder training calls `with_thumbnail` in its place.

    Args:
        canvas: (H, W) of the images in px. In `map` any other size is accepted too.
        decoder_input: see above.
        widths: channels after each encoder block; the decoder mirrors them.
        latent_dim: length of z.
        grid: (rows, columns) of cells, for `decoder_input="grid"` only.
        auxiliary: see above; for `decoder_input="map"` only.

    Raises:
        ValueError: unknown `decoder_input` or `auxiliary`, an unfit canvas or grid, or (in use) an unfit image.
    """

    def __init__(
        self,
        canvas: tuple[int, int],
        decoder_input: DecoderInput = "map",
        widths: Sequence[int] = (32, 64, 128, 256),
        latent_dim: int = 128,
        grid: tuple[int, int] = (4, 6),
        auxiliary: Auxiliary = "none",
    ) -> None:
        super().__init__()
        if decoder_input not in get_args(DecoderInput):
            raise ValueError(f"unknown decoder_input {decoder_input!r}: choose map, latent or grid")
        if auxiliary not in get_args(Auxiliary):
            raise ValueError(f"unknown auxiliary {auxiliary!r}: choose none, detached or joint")
        if min(canvas) < 1:
            raise ValueError(f"canvas must be (rows, columns) of at least 1 px, got {tuple(canvas)}")
        if not widths or min(*widths, latent_dim) < 1:
            numbers = f"widths={list(widths)}, latent_dim={latent_dim}"
            raise ValueError(f"an autoencoder needs a width, and at least one channel in each and in z, got {numbers}")
        self.canvas, self.decoder_input = (canvas[0], canvas[1]), decoder_input
        self.auxiliary = auxiliary if decoder_input == "map" else "none"
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
            self.to_code.requires_grad_(auxiliary != "none")
        else:
            self.from_code = nn.Linear(latent_dim, self.map_shape[0] * self.map_shape[1] * self.map_shape[2])
        self.decoder = nn.Sequential(
            *[_activated(nn.ConvTranspose2d(b, a, 4, stride=2, padding=1)) for a, b in reversed(ways[1:])],
            nn.ConvTranspose2d(widths[0], 1, 4, stride=2, padding=1),
        )
        self.standardise: nn.Module = nn.Identity()
        if self.auxiliary != "none":
            self.standardise = RunningStandardise(widths[-1])
            self.thumbnail = _thumbnail_decoder(latent_dim)

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
        return self.to_code(self.standardise(grid_pool(features, self.grid).flatten(1)))

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

    def with_thumbnail(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`forward`, and the image (B, 1, *THUMBNAIL) that the auxiliary decoder makes of z."""
        features = self._features(x)
        code = self._code(features.detach() if self.auxiliary == "detached" else features)
        return self.decode(features, (x.shape[-2], x.shape[-1])), self.thumbnail(code)
