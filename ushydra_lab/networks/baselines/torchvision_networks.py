"""VGG16, FCN and DeepLabv3, from torchvision, which is installed beside this package by those who need them."""

from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from ushydra_lab.errors import UserError
from ushydra_lab.networks.baselines.images import require


def torchvision_models(network: str) -> Any:
    """torchvision's collection of networks, for the one named.

    Raises:
        UserError: torchvision is missing or does not fit torch.
    """
    try:
        return import_module("torchvision.models")
    except (ImportError, RuntimeError, AttributeError) as error:  # the latter two: built for another torch
        raise UserError(
            f"{network} is torchvision's, which cannot be imported ({error}): pip install torchvision, in the build "
            f"made for torch {torch.__version__}; or choose another network"
        ) from error


def with_channels(first: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    """A first convolution for images of other channels, with weights as torchvision draws them."""
    size, stride, padding = first.kernel_size[0], first.stride[0], int(first.padding[0])
    conv = nn.Conv2d(in_channels, first.out_channels, size, stride, padding, bias=first.bias is not None)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


class VGG16(nn.Module):
    """The classifier of Simonyan & Zisserman 2015; 134.3 M parameters for one channel and five classes.

    Features of any size are averaged to 7x7 before the dense layers; at 224x224 they are 7x7 already.

    Args:
        classes: of the whole image.
        in_channels: of the image.

    Raises:
        UserError: torchvision cannot be imported.
        ValueError: (in use) an image of other channels or under 32 px.
    """

    def __init__(self, classes: int, in_channels: int = 1) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.network = torchvision_models("VGG16").vgg16(weights=None, num_classes=classes)
        self.network.features[0] = with_channels(self.network.features[0], in_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, in_channels, H, W) of any size from 32 px."""
        logits: Tensor = self.network(require(x, self.in_channels, 32))
        return logits


class ResNet50Segmenter(nn.Module):
    """A segmentation head on a ResNet50 whose last two stages are dilated, so that features are 1/8 of the image.

    `fcn`, one convolution after Long et al. 2015: 32.9 M parameters for one channel and two classes; `deeplabv3`,
    the atrous spatial pyramid of Chen et al. 2017: 39.6 M. Long et al. have a VGG16 with skips; torchvision's FCN,
    the usual one today, has neither. No auxiliary head.

    DeepLabv3's image average goes without batch norm, which cannot train on the one image that an epoch may end on.

    Args:
        classes: labels, the background included.
        head: `fcn` or `deeplabv3`.
        in_channels: of the image.

    Raises:
        UserError: torchvision cannot be imported.
        ValueError: unknown head, or (in use) an image of other channels or under 32 px.
    """

    def __init__(self, classes: int, head: str, in_channels: int = 1) -> None:
        super().__init__()
        if head not in ("fcn", "deeplabv3"):
            raise ValueError(f"unknown head {head!r}: choose fcn or deeplabv3")
        models = torchvision_models(head).segmentation
        build = models.fcn_resnet50 if head == "fcn" else models.deeplabv3_resnet50
        self.in_channels = in_channels
        self.network = build(weights=None, weights_backbone=None, num_classes=classes, aux_loss=False)
        self.network.backbone["conv1"] = with_channels(self.network.backbone["conv1"], in_channels)
        if head == "deeplabv3":
            self.network.classifier[0].convs[-1][2] = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes, H, W) of images (B, in_channels, H, W) of any size from 32 px."""
        logits: Tensor = self.network(require(x, self.in_channels, 32))["out"]
        return logits
