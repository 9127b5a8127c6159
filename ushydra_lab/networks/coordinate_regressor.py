"""Direct coordinate regression, the first attempt of paper 2 and the baseline its heatmaps are compared with."""

from collections.abc import Sequence

from torch import Tensor, nn

from ushydra_lab.devices import sent
from ushydra_lab.networks.unet import Encoder, extended


class CoordinateRegressor(nn.Module):
    """U-Net encoder, global average pooling and one Linear; gives points in canvas px.

    An average over the map need not lose where things are: the zeros around every convolution let the features
    themselves say it (Islam et al. 2020, ICLR, "How much position information do convolutional neural networks
    encode?"), as long as the coarsest ones see far enough to reach a border. Pooling to a grid of cells
    instead was worse: on 80 unseen phantom heads of 128x128 px (320 for training, widths 8 to 128, 20 epochs, one seed)
    points were off by 3.1 px on average, with 2x2 cells by 4.1 and with 4x4 by 4.7 px; at a quarter of the learning
    rate by 3.7, with 4x4 by 5.8 px. A sigmoid behind the Linear changed nothing (3.0 px); without one, points can lie
    beyond the canvas and no gradient vanishes near its edge.

    A point is size * (0.5 + output), size being (W, H) extended to multiples of 2 ** (len(widths) - 1) px by repeating
    the border pixel at the bottom and right: a fresh network points about the middle.

    Args:
        points: to be found.
        in_channels: of the image.
        widths: channels from the finest level to the coarsest; each level halves the image.

    Raises:
        ValueError: no point, fewer than two widths, or (in use) an image of other channels or smaller than the
            encoder's reduction.
    """

    def __init__(self, points: int = 4, in_channels: int = 1, widths: Sequence[int] = (16, 32, 64, 128, 256)) -> None:
        super().__init__()
        if points < 1:
            raise ValueError(f"points={points} must be at least 1")
        self.encoder = Encoder(in_channels, widths)
        self.to_points = nn.Linear(widths[-1], 2 * points)

    def forward(self, x: Tensor) -> Tensor:
        """Points (B, points, 2), px (x, y) on the canvas, of normalised images (B, in_channels, H, W)."""
        padded = extended(x, self.encoder.in_channels, self.encoder.stride)
        pooled = self.encoder(padded)[-1].mean((2, 3))
        # Autocast would lower a product of matrices to 8 bits, half a px in 128; a sum of products it leaves alone.
        outputs = (pooled[:, None] * self.to_points.weight).sum(-1) + self.to_points.bias
        height, width = padded.shape[-2:]
        return (0.5 + outputs.unflatten(1, (-1, 2))) * sent([width, height], outputs, outputs.dtype)
