"""Perceptual loss inside a box: patch features of a frozen self-supervised ViT (paper 1, section 3.2, "ROI-DINO").

The network is DINO's ViT-S/16 (Caron et al. 2021, arXiv 2104.14294), `facebook/dino-vits16` of the Hugging Face hub.
The paper names the term and no detail of it; what is done here is written at `RoiDino`.
"""

from typing import Any

import torch
from torch import Tensor

from ushydra_lab.errors import NOT_LOADED, UserError
from ushydra_lab.geometry.boxes import box_mask
from ushydra_lab.losses.roi import image_pair
from ushydra_lab.networks.vit import ViTEncoder, load_vit

KEY = "loss.terms.roi_dino.weights"
REMEDY = (
    "the same command runs this once they can be had: from the hub with a network, or, without one, from a folder of "
    "that name below the one the command is started in, filled elsewhere by `hf download {0} --local-dir {0}` "
    "(config.json, preprocessor_config.json and model.safetensors)"
)


class RoiDino:
    """Mean absolute difference of patch features inside each box, (B,).

    Each image's box, in whole pixels as in the other terms, is stretched to the ViT's square whatever its aspect
    (`resized_boxes`), repeated to three channels and normalised as the folder's `preprocessor_config.json` says (to
    [-1, 1] without one). Compared are the last layer's patch tokens after its norm, the class token left out. Work is
    in float32 whatever the network's precision; the gradient reaches the pixels of the box alone.

    The network is fixed, so no checkpoint holds it: it is no submodule of the task, and `load` reads it when a training
    starts. To evaluate what was trained nothing is loaded.

    Args:
        weights: a folder written by `save_pretrained`, else, if there is none of that name, a hub model. Only
            safetensors are read.
        size: side of the square, px; position embeddings of another size are interpolated once.
    """

    def __init__(self, weights: str = "facebook/dino-vits16", size: int = 224) -> None:
        self.weights, self.size = weights, size
        self._encoder: Any = None

    def load(self) -> None:
        """Read the network's weights, once.

        Raises:
            UserError: they cannot be had; the first line says so without any path.
        """
        if self._encoder is not None:
            return
        try:
            canvas, remedy = (self.size, self.size), REMEDY.format(self.weights)
            encoder = ViTEncoder(*load_vit(self.weights, canvas, KEY, remedy))
        except UserError as error:
            raise UserError(f"{NOT_LOADED}\n{error}", public=NOT_LOADED) from error
        except ValueError as error:  # the square is not a multiple of the patch
            raise UserError(f"loss.terms.roi_dino.size={self.size} does not suit {self.weights}: {error}") from error
        self._encoder = encoder.requires_grad_(False).eval()

    def __call__(self, x_hat: Tensor, x: Tensor, box: Tensor) -> Tensor:
        """Of a reconstruction and its reference (B, 1, H, W) in [0, 1], and boxes (B, 4) in px."""
        self.load()
        x_hat, x = image_pair(x_hat, x)
        with torch.autocast(x.device.type, enabled=False):
            with torch.no_grad():
                reference = self._features(x, box)
            return (self._features(x_hat, box) - reference).abs().mean((1, 2))

    def _features(self, x: Tensor, box: Tensor) -> Tensor:
        tokens: Tensor = self._encoder.to(x.device)(resized_boxes(x, box, self.size).float())[0]
        return tokens[:, 1:]


def resized_boxes(x: Tensor, box: Tensor, size: int) -> Tensor:
    """Each image's box stretched to a square, (B, 1, H, W) and (B, 4) to (B, 1, size, size).

    Bilinear, with antialiasing where it shrinks, of the pixels with centre in the box and no others. As two matrix
    products: boxes of any size go as one batch, and the gradient is the same in every run on a GPU too.
    """
    inside = box_mask(box, (x.shape[-2], x.shape[-1]))
    return _weights(inside.any(-1), size).to(x) @ x @ _weights(inside.any(-2), size).to(x).mT


def _weights(inside: Tensor, size: int) -> Tensor:
    """Of each source pixel in each target pixel, (B, 1, size, L), from the pixels (B, 1, L) in a contiguous span."""
    start, count = inside.float().argmax(-1)[..., None, None], inside.sum(-1)[..., None, None]
    pixel = torch.arange(inside.shape[-1], device=inside.device) + 0.5
    target = start + (torch.arange(size, device=inside.device)[:, None] + 0.5) * count / size
    weights = (1 - (target - pixel).abs() / (count / size).clamp(min=1)).clamp(min=0)
    weights = weights.where(inside[..., None, :], 0)
    return weights / weights.sum(-1, keepdim=True)
