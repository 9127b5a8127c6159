"""Reconstruction metrics of an image: on the whole canvas, the letterboxed content, and inside the NT box."""

from collections.abc import Mapping
from functools import partial

import pytorch_msssim
import torch
from torch import Tensor

from ushydra_lab.devices import ensure
from ushydra_lab.geometry.boxes import box_mask, masked_mean
from ushydra_lab.losses.ms_ssim import combine_maps_in_box, ssim_maps
from ushydra_lab.losses.roi import image_pair, roi_edge, roi_l1


def psnr(squared_error: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB for data range 1 from mean squared errors; no error gives inf."""
    return -10 * torch.log10(squared_error)


def judged_ms_ssim(x_hat: Tensor, x: Tensor) -> Tensor:
    """MS-SSIM per image, (B,), of (B, 1, H, W) images in [0, 1] by `pytorch_msssim`: the judge is not the loss itself.

    In the images' own precision: autocast would lower it, and cuDNN rounds float32 to TF32. Exactly 0 where images are
    anti-correlated at some scale, where `losses.ms_ssim` is small. A side under 161 px is an AssertionError.
    """
    with torch.autocast(x.device.type, enabled=False), torch.backends.cudnn.flags(enabled=False):
        return pytorch_msssim.ms_ssim(x_hat, x, data_range=1, size_average=False)


@torch.no_grad()
def reconstruction_metrics(
    x_hat: Tensor, x: Tensor, box: Tensor, content: Tensor, others: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Metrics of paper 1, Tables 2 and 3, each (B,).

    Args:
        x_hat: reconstruction (B, 1, H, W) in [0, 1].
        x: reference of the same shape.
        box: NT box on the canvas (B, 4), px.
        content: box of the letterboxed content (B, 4), px; the padding is outside.
        others: further regions by name, boxes (B, 4) of which an image may lack some (NaN).

    Returns:
        `psnr` (dB, inf if identical) and `ms_ssim` of the whole canvas, by `pytorch_msssim`; `psnr_content` and
        `ms_ssim_content` without the padding, by the lab's own maps, as no library averages a region; `roi_mae`,
        `roi_ms_ssim` and `roi_edge_mae` (the loss `roi_edge`, norm `reference`) in the box, and
        of each further region `roi_mae_NAME` and so on, NaN where it is missing.

    Raises:
        ValueError: unequal shapes, a box that is not finite or has no area, or a side under 161 px.
    """
    x_hat, x = image_pair(x_hat, x)
    for name, boxes in (("NT", box), ("content", content)):
        ensure((boxes[:, 2:] > boxes[:, :2]).all() & boxes.isfinite().all(), partial(_misplaced, name, boxes))
    shape = (x.shape[-2], x.shape[-1])
    maps = ssim_maps(x_hat, x)
    squared_error = (x_hat - x).square()
    found = {
        "psnr": psnr(squared_error.mean((1, 2, 3))),
        "ms_ssim": judged_ms_ssim(x_hat, x),
        "psnr_content": psnr(masked_mean(squared_error, box_mask(content, shape))),
        "ms_ssim_content": combine_maps_in_box(maps, content, shape),
        **_in_box(x_hat, x, maps, box),
    }
    for name, boxes in (others or {}).items():
        there = boxes.isfinite().all(1)
        values = _in_box(x_hat, x, maps, torch.where(there[:, None], boxes, box))
        found |= {f"{metric}_{name}": value.masked_fill(~there, torch.nan) for metric, value in values.items()}
    return found


def _misplaced(name: str, boxes: Tensor) -> str:
    return f"{name} boxes must be finite with x2 > x1 and y2 > y1, got {boxes.tolist()}"


def _in_box(x_hat: Tensor, x: Tensor, maps: list[Tensor], box: Tensor) -> dict[str, Tensor]:
    return {
        "roi_mae": roi_l1(x_hat, x, box),
        "roi_ms_ssim": combine_maps_in_box(maps, box, (x.shape[-2], x.shape[-1])),
        "roi_edge_mae": roi_edge(x_hat, x, box, norm="reference"),
    }
