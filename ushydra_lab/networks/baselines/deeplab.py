"""The parts of a DeepLabv3+ (Chen et al. 2018) on MobileNetV2."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def convolution(a: int, b: int, size: int, dilation: int = 1) -> nn.Sequential:
    """A convolution from a to b channels with batch norm and ReLU; keeps the size."""
    conv = nn.Conv2d(a, b, size, padding=size // 2 * dilation, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(b), nn.ReLU(inplace=True))


class Backbone(nn.Module):
    """MobileNetV2 (Sandler et al. 2018) from transformers, dilated so that its last features are 1/16 of the image."""

    def __init__(self, in_channels: int, width: float) -> None:
        from transformers import MobileNetV2Config, MobileNetV2Model

        super().__init__()
        config = MobileNetV2Config(num_channels=in_channels, depth_multiplier=width, output_stride=16, tf_padding=False)
        self.network = MobileNetV2Model(config, add_pooling_layer=False)
        self.network.conv_1x1 = nn.Identity()  # the classifier's
        # transformers sets these for trained weights: from scratch the signal fades, and momentum is TensorFlow's.
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                module.momentum, module.eps = 0.1, 1e-5
        _, fine, *_, coarse = (layer.reduce_1x1.convolution.out_channels for layer in self.network.layer)
        self.channels = (fine, coarse)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features at 1/4 and at 1/16 of the image's size."""
        _, fine, *_, coarse = self.network(x, output_hidden_states=True).hidden_states
        return fine, coarse


class Pyramid(nn.Module):
    """Atrous spatial pyramid; the image average has no batch norm, which could not train on a single image."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            [convolution(a, b, 1), *(convolution(a, b, 3, dilation) for dilation in (6, 12, 18))]
        )
        self.average = nn.Conv2d(a, b, 1)
        self.join = nn.Conv2d(5 * b, b, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, b, h, w) of features (B, a, h, w)."""
        parts = [part(x) for part in self.parts]
        average = F.relu(self.average(x.mean((2, 3), keepdim=True))).expand_as(parts[0])
        joined: Tensor = self.join(torch.cat([*parts, average], 1))
        return joined
