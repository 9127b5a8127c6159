"""The Vision Transformer of Dosovitskiy et al. 2021, from transformers."""

from collections.abc import Sequence

from torch import Tensor, nn


class ViT(nn.Module):
    """A linear classifier on the class token; the settings are those of ViT-B/16. Pixels are moved to [-1, 1].

    It has 85.4 M parameters for one channel, a 224x224 canvas and five classes. Weights start at random, as
    transformers draws them. Positions are learned for one canvas, so images of another size are refused.

    Attention is computed step by step: the fused kernels have no deterministic backward on a GPU.

    Args:
        classes: of the whole image.
        canvas: rows and columns of the images, px, multiples of `patch_size`.
        in_channels: of the image.
        hidden_size: of a token, a multiple of `heads`.
        layers: transformer blocks.
        heads: of the attention.
        patch_size: side of a patch, px.

    Raises:
        ValueError: a canvas or hidden size that does not divide, or (in use) an image of another shape.
    """

    def __init__(
        self,
        classes: int,
        canvas: Sequence[int] = (224, 224),
        in_channels: int = 1,
        hidden_size: int = 768,
        layers: int = 12,
        heads: int = 12,
        patch_size: int = 16,
    ) -> None:
        from transformers import ViTConfig, ViTForImageClassification

        super().__init__()
        if any(side < patch_size or side % patch_size for side in canvas):
            raise ValueError(f"canvas={list(canvas)}: sides must be multiples of the patch, {patch_size} px")
        if hidden_size % heads:
            raise ValueError(f"hidden_size={hidden_size} is not a multiple of heads={heads}")
        self.expected = (in_channels, *canvas)
        config = ViTConfig(
            num_labels=classes,
            image_size=list(canvas),
            num_channels=in_channels,
            patch_size=patch_size,
            hidden_size=hidden_size,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * hidden_size,
            attn_implementation="eager",
        )
        self.network = ViTForImageClassification(config)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, in_channels, *canvas)."""
        if tuple(x.shape[1:]) != self.expected:
            raise ValueError(
                f"expected images of shape (B, {', '.join(map(str, self.expected))}), got {tuple(x.shape)}"
            )
        logits: Tensor = self.network(2 * x - 1).logits
        return logits
