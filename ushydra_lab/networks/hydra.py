"""USHydraNet: one encoder and a decoder for each quality domain (USHydraNet paper, "Model architecture").

The paper does not print its decoders. Here they are those of a U-Net for segmentation, and for classification
transformer blocks over the encoder's tokens, with ReLU as its implementation details say.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, ClassVar

from torch import Tensor, nn

from ushydra_lab.networks.routing import Features, Hydra
from ushydra_lab.networks.unet import Decoder, Encoder
from ushydra_lab.networks.vit import ViTEncoder, load_vit, new_vit


class _UNetEncoder(Encoder):
    def forward(self, x: Tensor) -> list[Tensor]:
        return super().forward(self.padded(2 * x - 1))


class _UNetDecoder(nn.Module):
    def __init__(self, classes: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.up = Decoder(widths, attention=False, upsampling="transposed")
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        logits: Tensor = self.head(self.up(features)[0])
        return logits


class HydraUNet(Hydra):
    """USHydra-UNet: U-Net encoder and decoders. Pixels are moved to [-1, 1].

    The router reads the finest map: style is in shallow features (Zhou et al., MixStyle, ICLR 2021). By the coarsest
    one, which tells what is where, it found the decoder of 96 % of the phantom's training images, by this of all.

    Args:
        classes: labels, the background included.
        domains: decoders.
        in_channels: of the image.
        widths: channels from the finest level to the coarsest. Sides that are not multiples of 2^(levels - 1) are
            extended by their border and the logits cropped back.
        shared: one encoder for all decoders; else each has its own, all starting alike.

    Raises:
        ValueError: under two widths, or (in use) an image of other channels or too small.
    """

    style_level: ClassVar[int] = 0

    def __init__(
        self,
        classes: int,
        domains: int,
        in_channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        shared: bool = True,
    ) -> None:
        decoders = [_UNetDecoder(classes, widths) for _ in range(domains)]
        super().__init__(_UNetEncoder(in_channels, widths), decoders, shared)

    def decode(self, features: Features, domain: int) -> Tensor:
        encoder: Any = self.encoders[0]
        return encoder.cropped(super().decode(features, domain), features.image)


class _TokenDecoder(nn.Module):
    """Transformer blocks as in the encoder, but with ReLU, over all tokens; a linear layer on the class token."""

    def __init__(self, classes: int, encoder: Any, layers: int) -> None:
        from transformers.models.vit.modeling_vit import ViTLayer

        super().__init__()
        config = deepcopy(encoder)
        config.hidden_act = "relu"
        self.blocks = nn.Sequential(*(ViTLayer(config) for _ in range(layers)))
        self.norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.head = nn.Linear(config.hidden_size, classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        logits: Tensor = self.head(self.norm(self.blocks(features[0])[:, 0]))
        return logits


class HydraViT(Hydra):
    """USHydra-ViT: a vision transformer (Dosovitskiy et al. 2021) as encoder, class logits (B, K).

    The decoders' blocks attend to every patch, so that class activation maps have a gradient to follow. The router
    reads the patch tokens after the first block, since style is in shallow features: by the last ones it found the
    decoder of 97 % of the phantom's training images, by these of 99 %. Attention is computed step by step: the fused
    kernels have no deterministic backward on a GPU.

    Args:
        classes: of the images.
        domains: decoders.
        weights: of the encoder: a folder written by `save_pretrained`, the name of a hub model, or None for an
            encoder that starts from scratch. Only safetensors are read.
        canvas: rows and columns of the images; position embeddings of another size are interpolated once.
        hidden_size, layers, heads, patch_size: of an encoder from scratch; with `weights` they are the weights' own.
        decoder_layers: blocks of a decoder. One decoder of domains x decoder_layers blocks has the same number of
            parameters, but for the heads.
        shared: one encoder for all decoders; else each has its own, all starting alike.

    Raises:
        UserError: weights that cannot be loaded, or do not fill the encoder; nothing takes their place.
        ValueError: a canvas that is not a multiple of the patch, hidden_size not one of heads; in use, another canvas.
    """

    style_level: ClassVar[int] = 1

    def __init__(
        self,
        classes: int,
        domains: int,
        weights: str | None = None,
        canvas: Sequence[int] = (224, 224),
        hidden_size: int = 768,
        layers: int = 12,
        heads: int = 12,
        patch_size: int = 16,
        decoder_layers: int = 1,
        shared: bool = True,
    ) -> None:
        if weights is None:
            encoder = ViTEncoder(new_vit(hidden_size, layers, heads, patch_size, canvas))
        else:
            encoder = ViTEncoder(*load_vit(weights, canvas))
        decoders = [_TokenDecoder(classes, encoder.vit.config, decoder_layers) for _ in range(domains)]
        super().__init__(encoder, decoders, shared)
