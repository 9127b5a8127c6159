"""The residual networks of He et al. 2016, from transformers."""

from torch import Tensor, nn

from ushydra_lab.networks.baselines.images import require

LAYERS = {18: ("basic", (2, 2, 2, 2)), 50: ("bottleneck", (3, 4, 6, 3))}
"""Of each depth: the kind of block, and blocks in each stage."""


class ResNet(nn.Module):
    """A ResNet classifier of 18 (11.2 M parameters) or 50 layers (23.5 M), for one channel and five classes.

    As in torchvision, a bottleneck halves the image in its 3x3 convolution, not in its first (He et al.).

    Args:
        classes: of the whole image.
        depth: 18 or 50.
        in_channels: of the image.
        width: channels of the first stage (of its 3x3 convolutions), doubled at each further one.

    Raises:
        ValueError: unknown depth, or (in use) an image of other channels or under 64 px.
    """

    def __init__(self, classes: int, depth: int, in_channels: int = 1, width: int = 64) -> None:
        from transformers import ResNetConfig, ResNetForImageClassification

        super().__init__()
        if depth not in LAYERS:
            raise ValueError(f"a ResNet of {depth} layers is not known: choose {' or '.join(map(str, LAYERS))}")
        block, stages = LAYERS[depth]
        first = 4 * width if block == "bottleneck" else width
        self.in_channels = in_channels
        self.network = ResNetForImageClassification(
            ResNetConfig(
                num_labels=classes,
                num_channels=in_channels,
                embedding_size=width,
                hidden_sizes=[first * 2**stage for stage in range(len(stages))],
                depths=list(stages),
                layer_type=block,
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, in_channels, H, W) of any size from 64 px."""
        logits: Tensor = self.network(require(x, self.in_channels, 64)).logits
        return logits
