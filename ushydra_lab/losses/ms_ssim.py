"""Multi-scale structural similarity (Wang et al. 2003), of the whole image or of a region.

The definition is that of `pytorch-msssim` (data range 1, Gaussian window 11 px with sigma 1.5 px, five
scales), with two differences: the work is done in float32 or better whatever the network's precision, and a
scale's mean is clamped to 1e-6 before the fractional power, so that neither value nor gradient is ever NaN.
(Where images are anti-correlated at some scale the value is then small, not exactly 0, and the other scales
still learn.)
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ushydra_lab.devices import sent
from ushydra_lab.geometry.boxes import box_mask, masked_mean
from ushydra_lab.losses.roi import image_pair

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2
MIN_SIDE = (WINDOW - 1) * 2 ** (len(WEIGHTS) - 1) + 1
_MIN_MEAN = 1e-6


def _layout(x: Tensor) -> torch.memory_format:
    """Channels last is several times faster on a CPU; on a GPU it selects kernels that may round to TF32."""
    return torch.channels_last if x.device.type == "cpu" else torch.contiguous_format


def _empty_maps(stacks: int, channels: int, like: Tensor) -> Tensor:
    shape = (stacks, channels, *like.shape[2:])
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=_layout(like))


def _filter(maps: Tensor, padding: int = 0) -> Tensor:
    """Gaussian window over each channel of (S, C, H, W): all maps of all images in one depthwise convolution.

    With a padding of 10 px this is the adjoint of the unpadded filter. Autocast would lower a convolution's
    precision. The window is rounded to float32 as in `pytorch-msssim`, also for float64 maps.
    """
    channels = maps.shape[1]
    offset = torch.arange(WINDOW, dtype=torch.float32, device=maps.device) - WINDOW // 2
    window = torch.exp(-(offset**2) / (2 * SIGMA**2))
    window = (window / window.sum()).to(maps.dtype).expand(channels, 1, WINDOW)
    with torch.autocast(maps.device.type, enabled=False):
        maps = F.conv2d(maps, window[..., None], groups=channels, padding=(padding, 0))
        return F.conv2d(maps, window[..., None, :], groups=channels, padding=(0, padding))


class _ContrastStructure(torch.autograd.Function):
    """Contrast-structure map of two stacks of images (1, B, H, W); the first one's gradient is written out.

    With s, d the sum and difference of the images and v their local variances, the map is 1 - 2 r,
    r = v_d / (v_s + v_d + 2 C2). The gradient takes three filters where automatic differentiation takes four,
    and a third of the passes over memory.
    """

    @staticmethod
    def forward(ctx: Any, x_hat: Tensor, x: Tensor) -> Tensor:
        batch = x.shape[1]
        # Two stacks, so that each is dense; with four the convolution's vectors would be half empty (8 images, AVX-512)
        maps = _empty_maps(2, 2 * batch, x)
        both, squares = maps.split(1)
        torch.add(x_hat, x, out=both[:, :batch])
        torch.sub(x_hat, x, out=both[:, batch:])
        torch.mul(both, both, out=squares)
        means, variances = _filter(maps).split(1)
        sum_variance, difference_variance = variances.addcmul_(means, means, value=-1).chunk(2, 1)
        total = torch.add(sum_variance, difference_variance).add_(2 * C2)
        ratio = difference_variance / total
        ctx.save_for_backward(x_hat, x, means, total, ratio)
        return torch.rsub(ratio, 1, alpha=2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        x_hat, x, means, total, ratio = ctx.saved_tensors
        maps = _empty_maps(1, 3 * x.shape[1], ratio)
        cross, own, mean = maps.chunk(3, 1)
        sum_mean, difference_mean = means.chunk(2, 1)
        share = torch.div(grad, total)
        cross.copy_(share)
        torch.addcmul(share, share, ratio, value=-2, out=own)
        torch.mul(torch.add(sum_mean, difference_mean).mul_(ratio).sub_(difference_mean), share, out=mean)
        cross, own, mean = _filter(maps, padding=WINDOW - 1).chunk(3, 1)
        return torch.addcmul(mean, cross, x, value=-1).addcmul_(own, x_hat).mul_(-4), None


def _luminance(x_hat: Tensor, x: Tensor) -> Tensor:
    mean_hat, mean = _filter(torch.cat([x_hat, x], 1).contiguous(memory_format=_layout(x))).chunk(2, 1)
    return (2 * mean_hat * mean + C1) / (mean_hat**2 + mean**2 + C1)


def ssim_maps(x_hat: Tensor, x: Tensor) -> list[Tensor]:
    """Similarity maps of a reconstruction and its reference, (B, 1, H, W) in [0, 1], at five scales.

    Returns (B, 1, h_k, w_k) per scale, finest first: contrast-structure, times luminance at the coarsest.
    Each scale halves the image by averaging (odd sides get a zero border first); its map is 10 px smaller
    than it. Only `x_hat` gets a gradient.

    Raises:
        ValueError: unequal shapes, a reference that asks for a gradient, or a side under 161 px.
    """
    x_hat, x = image_pair(x_hat, x)
    height, width = x.shape[-2:]
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f"MS-SSIM of five scales needs at least {MIN_SIDE} px a side, the canvas is {height}x{width} "
            "(rows x columns): choose a larger canvas, e.g. 176x256"
        )
    x_hat, x = (i.transpose(0, 1).contiguous(memory_format=_layout(i)) for i in (x_hat, x))
    maps = []
    for _ in WEIGHTS[1:]:
        maps.append(_ContrastStructure.apply(x_hat, x))
        padding = [side % 2 for side in x.shape[-2:]]
        x_hat, x = (F.avg_pool2d(i, 2, padding=padding) for i in (x_hat, x))
    maps.append(_luminance(x_hat, x) * _ContrastStructure.apply(x_hat, x))
    return [m.transpose(0, 1) for m in maps]


def _combine(means: list[Tensor]) -> Tensor:
    stacked = torch.stack(means, 1).clamp(min=_MIN_MEAN)
    return stacked.pow(sent(WEIGHTS, stacked, stacked.dtype)).prod(1)


def combine_maps(maps: list[Tensor]) -> Tensor:
    """MS-SSIM of whole images from their `ssim_maps`, (B,)."""
    return _combine([m.mean((1, 2, 3)) for m in maps])


def combine_maps_in_box(maps: list[Tensor], box: Tensor, shape: tuple[int, int]) -> Tensor:
    """MS-SSIM of a region, (B,): the `ssim_maps` of whole (H, W) = `shape` images averaged in each box.

    A map position counts if the centre of its window lies in the box; at least one always does. Windows near
    the edge of the box see up to 5 px (of their scale) beyond it.
    """
    means = []
    for similarity in maps:
        in_map = box - WINDOW // 2
        means.append(masked_mean(similarity, box_mask(in_map, (similarity.shape[-2], similarity.shape[-1]))))
        odd = [side % 2 for side in shape]
        box = (box + sent([odd[1], odd[0]] * 2, box, box.dtype)) / 2
        shape = ((shape[0] + 1) // 2, (shape[1] + 1) // 2)
    return _combine(means)


def ms_ssim(x_hat: Tensor, x: Tensor) -> Tensor:
    """MS-SSIM per image, (B,) in [0, 1], of (B, 1, H, W) images in [0, 1]. Raises as `ssim_maps`."""
    return combine_maps(ssim_maps(x_hat, x))


def roi_ms_ssim(x_hat: Tensor, x: Tensor, box: Tensor) -> Tensor:
    """MS-SSIM inside each box (B, 4), (B,): a 20 px high box cannot hold five scales, the whole image can.

    With the box of the letterboxed content it is the MS-SSIM without the padding. See `combine_maps_in_box`.
    """
    return combine_maps_in_box(ssim_maps(x_hat, x), box, (x.shape[-2], x.shape[-1]))
