"""The densely connected network of Huang et al. 2017, from MONAI."""

from torch import Tensor, nn

from ushydra_lab.networks.baselines.images import require


class DenseNet121(nn.Module):
    """A classifier of 121 layers; 7.0 M parameters for one channel and five classes.

    Args:
        classes: of the whole image.
        in_channels: of the image.
        growth: channels that each layer adds; the first convolution has twice as many.

    Raises:
        ValueError: (in use) an image of other channels or under 64 px.
    """

    def __init__(self, classes: int, in_channels: int = 1, growth: int = 32) -> None:
        from monai.networks import nets

        super().__init__()
        self.in_channels = in_channels
        self.network = nets.DenseNet(
            spatial_dims=2,
            in_channels=in_channels,
            out_channels=classes,
            init_features=2 * growth,
            growth_rate=growth,
            block_config=(6, 12, 24, 16),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, in_channels, H, W) of any size from 64 px."""
        logits: Tensor = self.network(require(x, self.in_channels, 64))
        return logits
