"""A vision transformer as encoder, new or with weights of the hub (Dosovitskiy et al., ICLR 2021)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ushydra_lab.errors import UserError

Normalisation = tuple[Sequence[float], Sequence[float]]
"""Mean and SD of each channel that trained weights expect of pixels in [0, 1]."""


HALF: Normalisation = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


EAGER: dict[str, Any] = {"attn_implementation": "eager"}


REMEDY = (
    "give a folder written by save_pretrained (config.json and model.safetensors), the name of a hub model with "
    "safetensors weights (needs the network, or a filled cache), or null to train from scratch"
)


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


def new_vit(hidden_size: int, layers: int, heads: int, patch_size: int, canvas: Sequence[int]) -> Any:
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
