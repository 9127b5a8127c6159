"""Attention U-Net of the fetal brain thesis (section 3.4), after Ronneberger et al. 2015 and Oktay et al. 2018."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ushydra_lab.networks.unet import Decoder, Encoder, Upsampling


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
        self.attention = attention
        self.encoder = Encoder(in_channels, widths)
        self.decoder = Decoder(widths, attention, upsampling)
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes, H, W) of images (B, in_channels, H, W)."""
        features, _ = self.decoder(self.encoder(self.encoder.padded(x)))
        return self.encoder.cropped(self.head(features), x)

    @torch.no_grad()
    def gates(self, x: Tensor) -> Tensor:
        """Attention maps (B, levels, H, W) in (0, 1), finest level first, each px repeated to the image's size.

        As with `forward`, the network should be in evaluation mode.

        Raises:
            ValueError: the network has no gates, or an image as in `forward`.
        """
        if not self.attention:
            raise ValueError("a plain U-Net (attention=False) has no gates")
        padded = self.encoder.padded(x)
        _, gates = self.decoder(self.encoder(padded))
        maps = [F.interpolate(gate, padded.shape[-2:]) for gate in reversed(gates) if gate is not None]
        return self.encoder.cropped(torch.cat(maps, 1), x)
