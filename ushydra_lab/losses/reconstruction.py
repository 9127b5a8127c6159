"""1 - MS-SSIM of the whole image, the loss of Phase 1 of the NT system."""

from torch import Tensor

from ushydra_lab.losses.ms_ssim import ms_ssim


def global_ms_ssim(x_hat: Tensor, x: Tensor) -> Tensor:
    """1 - MS-SSIM on the whole image (paper 1, section 2.4), (B,)."""
    return 1 - ms_ssim(x_hat, x)
