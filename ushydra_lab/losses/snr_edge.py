"""ROI-edge that trusts a place by its signal-to-noise ratio, so that speckle is not taught as anatomy.

Paper 1, section 4, announces SNR-aware edge weights and gives no formula; this is one. The noise at a pixel is
estimated around it from the reference by the mask of J. Immerkær (Fast noise variance estimation, CVIU 64, 1996), which
is blind to straight edges along rows or columns. The signal is the box's strongest edges, so that where the noise is
low, in fluid, nothing may be invented: by the signal of the place itself a flat place would count for nothing.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ushydra_lab.geometry.boxes import masked_mean
from ushydra_lab.losses.roi import edge_scale, image_pair, patches_of, sobel_valid

SOBEL_GAIN = math.sqrt(0.75)
"""Root mean square of the Sobel magnitude of white noise of SD 1."""


def noise_sd(x: Tensor, window: int, grain: int = 1) -> Tensor:
    """SD of the noise around each pixel: (..., h, w) to (..., h - 2 grain - window + 1, w - 2 grain - window + 1).

    window: side of the square that is averaged over, odd, px. grain: spacing of the differences, px: speckle that is
    alike over fewer px counts whole, of coarser the fine part alone. Exact on average for Gaussian noise.
    """
    second = x[..., :, : -2 * grain] - 2 * x[..., :, grain:-grain] + x[..., :, 2 * grain :]
    mixed = second[..., : -2 * grain, :] - 2 * second[..., grain:-grain, :] + second[..., 2 * grain :, :]
    mean: Tensor = avg_pool2d(mixed.abs(), window, stride=1)
    return mean * (math.sqrt(math.pi / 2) / 6)


def roi_snr_edge(x_hat: Tensor, x: Tensor, box: Tensor, window: int = 7, grain: int = 4) -> Tensor:
    """Weighted mean absolute difference of Sobel magnitudes in each box, (B,), beside `roi_edge` (norm `reference`).

    A pixel's weight is snr^2 / (1 + snr^2), snr being the 99th percentile of the reference's Sobel magnitude in the box
    over that of the noise around the pixel; weights have no gradient, and their scale is nothing.

    Args:
        x_hat: reconstruction (B, 1, H, W) in [0, 1].
        x: reference of the same shape.
        box: (B, 4), px.
        window: side of the square in which noise is estimated, odd, px.
        grain: px over which speckle is alike, on the canvas.

    Raises:
        ValueError: unequal shapes, a window that is even or under 3, a grain under 1.
    """
    if window < 3 or window % 2 == 0 or grain < 1:
        raise ValueError(f"window={window}, grain={grain}: an odd number of px, 3 or more, and 1 or more")
    reach = grain - 1 + window // 2
    (patch_hat, patch), inside = patches_of(list(image_pair(x_hat, x)), box, margin=1 + reach)
    near = slice(reach, -reach)
    edges_hat, edges = (sobel_valid(one[:, near, near]) for one in (patch_hat, patch))
    scale = edge_scale(edges, inside)
    noise = SOBEL_GAIN * noise_sd(patch, window, grain)
    weights = torch.where(inside, 1 / (1 + (noise / scale).square()), 0)
    errors = weights * (edges_hat - edges).abs() / scale
    return masked_mean(errors, inside) / masked_mean(weights, inside)
