"""DoFE of Wang et al. 2020: features enriched by what is remembered of the training domains they resemble.

Domain-oriented Feature Embedding for Generalizable Fundus Image Segmentation on Unseen Datasets, IEEE TMI 39:4237.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ushydra_lab.networks.baselines.deeplab import Backbone, Pyramid, convolution
from ushydra_lab.networks.baselines.images import require

FINE = 48
"""Channels that the decoder takes of the fine features."""


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear")


class DoFE(nn.Module):
    """DeepLabv3+ on MobileNetV2, whose features h (B, C, H/4, W/4) become h + tanh(W h) * sum_k p_k m_k.

    p is the predicted domain of the image (softmax over the K training domains) and m_k (C,) the pool's mean feature
    of domain k, kept as 0.9 m_k + 0.1 times the mean over its images in the batch. After training all of it is
    fixed, so an image from anywhere gets the memories of the domains it looks like. It has 5.9 M parameters for
    one channel, two classes and three domains.

    Where this differs from the authors' code: they fill the pool from a network trained beforehand without it;
    here it starts empty and a domain's first batch fills its entry. Their batches hold as many images of each
    domain; here a batch may lack some, whose entries then stay. Values for a whole image go without batch norm,
    and the domain is read from features without dropout, which would double their maxima in training only.

    Args:
        classes: labels, the background included.
        domains: K, those trained on.
        in_channels: of the image.
        width: factor on MobileNetV2's channels.
        channels: of the pyramid and the decoder.

    Raises:
        ValueError: (in use) an image of other channels or under 32 px.
    """

    pool: Tensor
    filled: Tensor

    def __init__(
        self, classes: int, domains: int, in_channels: int = 1, width: float = 1.0, channels: int = 256
    ) -> None:
        super().__init__()
        self.in_channels, memory = in_channels, channels + FINE
        self.backbone = Backbone(in_channels, width)
        fine, coarse = self.backbone.channels
        self.pyramid = Pyramid(coarse, channels)
        self.activated = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.domain = nn.Linear(channels, domains)
        self.fine = nn.Conv2d(fine, FINE, 1, bias=False)
        self.norm = nn.BatchNorm2d(memory)
        self.selector = nn.Conv2d(memory, memory, 1, bias=False)
        first, second = convolution(memory, channels, 3), convolution(channels, channels, 3)
        self.head = nn.Sequential(first, nn.Dropout(0.5), second, nn.Dropout(0.1), nn.Conv2d(channels, classes, 1))
        self.register_buffer("pool", torch.zeros(domains, memory))
        self.register_buffer("filled", torch.zeros(domains, dtype=torch.bool))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes, H, W) of images (B, in_channels, H, W) of any size from 32 px; leaves the pool."""
        return self._forward(x)[0]

    def forward_with_domains(self, x: Tensor, domains: Tensor) -> tuple[Tensor, Tensor]:
        """`forward`, and domain logits (B, K); in training the pool then remembers features of `domains` (B,), int64.

        Raises:
            ValueError: an image as in `forward`.
        """
        logits, domain_logits, features = self._forward(x)
        if self.training:
            self._remember(features.detach().mean((2, 3)), domains)
        return logits, domain_logits

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine, coarse = self.backbone(require(x, self.in_channels, 32))
        joined = self.pyramid(coarse)
        domain_logits = self.domain(self.activated(joined).amax((2, 3)))
        features = self.norm(torch.cat([_enlarged(joined, fine), self.fine(fine)], 1))
        memory = (domain_logits.softmax(1) @ self.pool)[:, :, None, None]
        enriched = features + torch.tanh(self.selector(features)) * memory
        return _enlarged(self.head(enriched), x), domain_logits, features

    def _remember(self, means: Tensor, domains: Tensor) -> None:
        """Move the pool to the mean features (B, C) of the domains in the batch."""
        members = F.one_hot(domains, len(self.pool)).to(means)
        present = members.sum(0) > 0
        current = (members.T @ means) / members.sum(0).clamp(min=1)[:, None]
        moved = torch.where(self.filled[:, None], torch.lerp(current, self.pool, 0.9), current)
        # Not in place: the gradient still needs the memories that this step was made with.
        self.pool = torch.where(present[:, None], moved, self.pool)
        self.filled = self.filled | present


def domain_loss(domain_logits: Tensor, domains: Tensor) -> Tensor:
    """Squared error of predicted domains (B, K, softmax taken here) from true ones (B,), int64; scalar.

    The authors add a tenth of it to the segmentation loss.
    """
    return F.mse_loss(domain_logits.softmax(1), F.one_hot(domains, domain_logits.shape[1]).to(domain_logits))
