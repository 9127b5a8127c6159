"""USHydraNet: one encoder and a decoder for each quality domain (USHydraNet paper, "Model architecture").

The paper does not print its decoders. Here they are those of a U-Net for segmentation, and for classification
transformer blocks over the encoder's tokens, with ReLU as its implementation details say.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ushydra_lab.errors import UserError
from ushydra_lab.networks.routing import Features, Hydra
from ushydra_lab.networks.unet import Decoder, Encoder

Normalisation = tuple[Sequence[float], Sequence[float]]
"""Mean and SD of each channel that trained weights expect of pixels in [0, 1]."""
HALF: Normalisation = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
EAGER: dict[str, Any] = {"attn_implementation": "eager"}
REMEDY = (
    "give a folder written by save_pretrained (config.json and model.safetensors), the name of a hub model with "
    "safetensors weights (needs the network, or a filled cache), or null to train from scratch"
)


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


class ViTEncoder(nn.Module):
    """Tokens of a Hugging Face `ViTModel` of images (B, 1, H, W), repeated to three channels and normalised."""

    mean: Tensor
    sd: Tensor

    def __init__(self, vit: Any, normalisation: Normalisation = HALF) -> None:
        super().__init__()
        self.canvas = tuple(vit.embeddings.image_size)
        self.grid = tuple(side // vit.config.patch_size for side in self.canvas)
        self.vit = vit
        for name, values in zip(("mean", "sd"), normalisation, strict=True):
            self.register_buffer(name, torch.tensor(values)[:, None, None])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised tokens (B, 1 + h * w, C), the class token first; patch tokens after one block (B, C, h, w).

        Raises ValueError for images that are not (B, 1, *canvas).
        """
        if x.shape[1:] != (1, *self.canvas):
            raise ValueError(
                f"expected images of shape (B, 1, {self.canvas[0]}, {self.canvas[1]}), got {tuple(x.shape)}"
            )
        found = self.vit(pixel_values=(x - self.mean) / self.sd, output_hidden_states=True)
        return found.last_hidden_state, found.hidden_states[1][:, 1:].mT.unflatten(2, self.grid)


def _new_vit(hidden_size: int, layers: int, heads: int, patch_size: int, canvas: Sequence[int]) -> Any:
    from transformers import ViTConfig, ViTModel

    _check_canvas(canvas, patch_size)
    if hidden_size % heads:
        raise ValueError(f"hidden_size={hidden_size} is not a multiple of heads={heads}")
    sizes: dict[str, Any] = {"hidden_size": hidden_size, "num_hidden_layers": layers, "num_attention_heads": heads}
    sizes |= {"intermediate_size": 4 * hidden_size, "image_size": [*canvas], "patch_size": patch_size}
    return ViTModel(ViTConfig(**sizes, **EAGER), add_pooling_layer=False)


def load_vit(
    weights: str, canvas: Sequence[int], key: str = "network.weights", remedy: str = REMEDY
) -> tuple[Any, Normalisation]:
    """A trained ViTModel, and the normalisation that its processor's settings name, if it has any.

    Raises:
        UserError: weights that cannot be loaded or do not fill it; `key` and `remedy` are told.
    """
    from safetensors import SafetensorError
    from transformers import ViTModel

    load: Any = ViTModel.from_pretrained
    try:
        _settings(weights, "config.json")  # transformers takes what is no object for one, and fails somewhere
        how = {"use_safetensors": True, "dtype": torch.float32, "output_loading_info": True}
        vit, info = load(weights, add_pooling_layer=False, **how, **EAGER)
        normalisation = _normalisation(weights)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{key}={weights}: cannot be loaded: {error}\n{remedy}") from error
    # transformers fills what the weights lack with random values
    if lacking := sorted(info["missing_keys"]):
        raise UserError.listing(f"{key}={weights}: not a ViT's weights; {remedy}. They lack", lacking, 5)
    if vit.config.num_channels != 3:
        raise UserError(f"{key}={weights}: made for {vit.config.num_channels} channels, not 3; {remedy}")
    _fit_canvas(vit, canvas)
    return vit, normalisation


def _normalisation(weights: str) -> Normalisation:
    settings = _settings(weights, "preprocessor_config.json")
    if settings is None:
        return HALF
    if not settings.get("do_normalize", True):
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    mean, sd = settings.get("image_mean", HALF[0]), settings.get("image_std", HALF[1])
    for values in (mean, sd):
        if not (
            isinstance(values, list | tuple) and len(values) == 3 and all(isinstance(v, float | int) for v in values)
        ):
            raise ValueError(f"preprocessor_config.json: image_mean and image_std are three numbers, not {values}")
    return tuple(mean), tuple(sd)


def _settings(weights: str, name: str) -> dict[str, Any] | None:
    """A JSON file beside the weights, None where there is none. Raises ValueError where it is no object."""
    from transformers.utils import cached_file

    file = cached_file(weights, name, _raise_exceptions_for_missing_entries=False)
    if file is None:
        return None
    with open(file, encoding="utf-8") as text:  # noqa: PTH123 - networks do not handle paths
        settings = json.load(text)
    if not isinstance(settings, dict):
        raise ValueError(f"{name} holds no JSON object")
    return settings


def _check_canvas(canvas: Sequence[int], patch_size: int) -> None:
    if any(side % patch_size for side in canvas):
        raise ValueError(f"canvas={list(canvas)}: sides must be multiples of the ViT's patch of {patch_size} px")


@torch.no_grad()
def _fit_canvas(vit: Any, canvas: Sequence[int]) -> None:
    """Position embeddings for this canvas, once: bicubic interpolation in each step is not reproducible on a GPU."""
    embeddings, patch = vit.embeddings, vit.config.patch_size
    _check_canvas(canvas, patch)
    if tuple(embeddings.image_size) == tuple(canvas):
        return
    class_token, patches = embeddings.position_embeddings.tensor_split([1], 1)
    before, after = ([side // patch for side in size] for size in (embeddings.image_size, canvas))
    resized = F.interpolate(patches.mT.unflatten(2, before), after, mode="bicubic")
    embeddings.position_embeddings = nn.Parameter(torch.cat([class_token, resized.flatten(2).mT], 1))
    embeddings.image_size = embeddings.patch_embeddings.image_size = tuple(canvas)
    vit.config.image_size = [*canvas]


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
            encoder = ViTEncoder(_new_vit(hidden_size, layers, heads, patch_size, canvas))
        else:
            encoder = ViTEncoder(*load_vit(weights, canvas))
        decoders = [_TokenDecoder(classes, encoder.vit.config, decoder_layers) for _ in range(domains)]
        super().__init__(encoder, decoders, shared)
