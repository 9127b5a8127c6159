"""Losses of whole images: 1 - MS-SSIM, that of Phase 1 of the NT system, and that of its auxiliary decoder."""

from torch import Tensor

from ushydra_lab.losses.ms_ssim import ms_ssim
from ushydra_lab.networks.conv_autoencoder import grid_pool


def global_ms_ssim(x_hat: Tensor, x: Tensor) -> Tensor:
    """1 - MS-SSIM on the whole image (paper 1, section 2.4), (B,)."""
    return 1 - ms_ssim(x_hat, x)


def thumbnail_error(thumbnail: Tensor, x: Tensor, inside: Tensor) -> Tensor:
    """Mean absolute error of a low-resolution image (B,1,h,w) against the mean of x (B,1,H,W) in each cell, (B,).

    inside: (B,1,H,W), False in the letterbox's padding, which is not counted: else a code would be trained to tell the
    shape of the image, which differs between hospitals.
    """
    size = thumbnail.shape[-2], thumbnail.shape[-1]
    counted = inside.to(x)
    share = grid_pool(counted, size)
    target = grid_pool(x * counted, size) / share.clamp(min=1e-6)  # where nothing is inside, share makes it 0 again
    return ((thumbnail - target).abs() * share).sum((1, 2, 3)) / share.sum((1, 2, 3))
