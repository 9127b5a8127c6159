"""Affine maps of the canvas, applied to image, mask, points, boxes and pixel spacing of a batch alike.

A map is float32 (B, 2, 3) on continuous canvas px (x, y), new = map[:, :, :2] old + map[:, :, 2]: pixel centres lie
at index + 0.5, the canvas ends at (0, 0) and (W, H). That is grid_sample's convention with align_corners=False,
whose -1 and 1 are those ends. Nothing here is a matrix product: on a GPU those may run in TF32, which is up to 0.6 px
off at 1280 px.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ushydra_lab.data.fields import missing
from ushydra_lab.data.vocabulary import ANNOTATIONS
from ushydra_lab.devices import sent
from ushydra_lab.geometry.letterbox import MIN_SIDE

Batch = dict[str, Tensor]

INTERPOLATION: dict[str, Literal["bilinear", "nearest"]] = {"image": "bilinear", "mask": "nearest"}


def mirror(batch: Batch, mirrored: Tensor) -> Batch:
    """Left and right exchanged, exactly, in the rows `mirrored` (B,) bool."""
    width = batch["image"].shape[-1]
    a_map = torch.zeros(len(mirrored), 2, 3, device=mirrored.device)
    a_map[:, 0, 0], a_map[:, 1, 1], a_map[:, 0, 2] = 1 - 2.0 * mirrored, 1, width * mirrored
    layers = {
        key: torch.where(mirrored.view(-1, *[1] * (batch[key].ndim - 1)), batch[key].flip(-1), batch[key])
        for key in INTERPOLATION.keys() & batch
    }
    return {**batch, **_moved(batch, a_map), **layers}


def shift(batch: Batch, steps: Tensor) -> Batch:
    """All moved by whole px, exactly: steps (B, 2) int64 (x, y). Zeros move into image and mask."""
    a_map = torch.eye(2, 3, device=steps.device).repeat(len(steps), 1, 1)
    a_map[:, :, 2] = steps
    layers = {key: _shifted(batch[key], steps) for key in INTERPOLATION.keys() & batch}
    return {**batch, **_moved(batch, a_map), **_without_mask_kept(batch, layers)}


def warp(batch: Batch, a_map: Tensor) -> Batch:
    """All mapped: image bilinear, mask nearest, zeros moving into both; points exactly.

    A box becomes the axis-aligned hull of its mapped corners, clipped to the canvas, NaN where less than 1 px x 1 px
    is left; `content` likewise, so after a rotation it also holds some padding. pixel_mm and
    native_px are divided by the zoom.
    """
    moved = _moved(batch, a_map)
    for key in _boxes(batch):
        thin = (moved[key][:, 2:] - moved[key][:, :2] < MIN_SIDE).any(dim=1, keepdim=True)
        moved[key] = moved[key].masked_fill(thin, torch.nan)
    zoom = _determinant(a_map).abs().sqrt()
    for key, values in (("pixel_mm", zoom), ("native_px", zoom[:, None])):
        if key in batch:
            moved[key] = batch[key] / values
    return {**batch, **moved, **_without_mask_kept(batch, _resampled(batch, a_map))}


def inverse(a_map: Tensor) -> Tensor:
    """The map back, (B, 2, 3)."""
    (a, b, x), (c, d, y) = (row.unbind(1) for row in a_map.unbind(1))
    rows = [torch.stack([d, -b, b * y - d * x], dim=1), torch.stack([-c, a, c * x - a * y], dim=1)]
    return torch.stack(rows, dim=1) / _determinant(a_map)[:, None, None]


def map_points(a_map: Tensor, points: Tensor) -> Tensor:
    """(B, N, 2) px -> (B, N, 2) px; NaN stays NaN."""
    return (a_map[:, None, :, :2] * points[:, :, None]).sum(dim=3) + a_map[:, None, :, 2]


def map_box(a_map: Tensor, box: Tensor) -> Tensor:
    """(B, 4) edges in px -> axis-aligned hull of the four mapped corners; NaN stays NaN."""
    ends = a_map[:, :, :2] * box[:, None, :2], a_map[:, :, :2] * box[:, None, 2:]
    low, high = torch.minimum(*ends).sum(dim=2), torch.maximum(*ends).sum(dim=2)
    return torch.cat([low + a_map[:, :, 2], high + a_map[:, :, 2]], dim=1)


def canvas_size(batch: Batch) -> Tensor:
    """(width, height) in px, on the batch's device."""
    image = batch["image"]
    return sent([image.shape[-1], image.shape[-2]], image, torch.float32)


def anchors(batch: Batch) -> Tensor:
    """(B, N > 0, 2) px: annotated points and box corners, at the edge if beyond the canvas; NaN where missing."""
    size = canvas_size(batch)
    edges = [batch[key].unbind(1) for key in _boxes(batch)]
    corners = [torch.stack([x1, y1, x2, y1, x2, y2, x1, y2], 1).view(-1, 4, 2) for x1, y1, x2, y2 in edges]
    none = torch.full((len(batch["image"]), 1, 2), torch.nan, device=size.device)
    return torch.cat([none, *corners, *(batch[key] for key in _points(batch))], dim=1).clamp(min=0).minimum(size)


def _boxes(batch: Batch) -> list[str]:
    return [key for key in batch if key.endswith("_box")]


def _points(batch: Batch) -> list[str]:
    return [key for key in batch if key in ANNOTATIONS and ANNOTATIONS[key].kind == "points"]


def _moved(batch: Batch, a_map: Tensor) -> Batch:
    """Points wherever they get to; boxes and content clipped to the canvas."""
    edge = canvas_size(batch).repeat(2)
    points = {key: map_points(a_map, batch[key]) for key in _points(batch)}
    boxes = {key: map_box(a_map, batch[key]).clamp(min=0).minimum(edge) for key in (*_boxes(batch), "content")}
    return points | boxes


def _determinant(a_map: Tensor) -> Tensor:
    return a_map[:, 0, 0] * a_map[:, 1, 1] - a_map[:, 0, 1] * a_map[:, 1, 0]


def _without_mask_kept(batch: Batch, layers: Batch) -> Batch:
    """Background moves into a mask, but a row that has none stays without."""
    if "mask" not in layers:
        return layers
    absent = missing(batch["mask"])[:, None, None]
    return layers | {"mask": torch.where(absent, batch["mask"], layers["mask"])}


def _shifted(layer: Tensor, steps: Tensor) -> Tensor:
    """(B, ..., H, W) moved by steps (B, 2) = (x, y)."""
    height, width = layer.shape[-2:]
    rows = torch.arange(height, device=layer.device) - steps[:, 1:]
    columns = torch.arange(width, device=layer.device) - steps[:, :1]
    there = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
    from_rows = rows.clamp(0, height - 1)[:, :, None].expand_as(there)
    from_columns = columns.clamp(0, width - 1)[:, None].expand_as(there)
    moved = layer.view(there.shape).gather(1, from_rows).gather(2, from_columns)
    return torch.where(there, moved, 0).view(layer.shape)


def _resampled(batch: Batch, a_map: Tensor) -> Batch:
    """Image and mask, one row at a time: the sampling grid of a whole batch would not fit a processor's cache."""
    height, width = batch["image"].shape[-2:]
    back = inverse(a_map) * (2 / canvas_size(batch))[:, None]  # to the source, whose ends are at 0 and 2
    x, y = (torch.arange(side, device=back.device) + 0.5 for side in (width, height))
    along_x, along_y = back[:, :, :1] * x, back[:, :, 1:2] * y + (back[:, :, 2:] - 1)
    grid = torch.empty(2, height, width, device=back.device)
    layers = {key: torch.empty_like(batch[key]) for key in INTERPOLATION.keys() & batch}
    for row in range(len(back)):
        torch.add(along_x[row][:, None], along_y[row][:, :, None], out=grid)
        for key, result in layers.items():
            layer = batch[key][row].float().view(1, 1, height, width)
            sampled = F.grid_sample(layer, grid.permute(1, 2, 0)[None], INTERPOLATION[key], align_corners=False)
            result[row] = sampled.view(result[row].shape)
    return layers
