"""Boxes (x1, y1, x2, y2) in px, edges: pixel (row r, column c) has its centre at (c + 0.5, r + 0.5)."""

import torch
from torch import Tensor


def _span(low: Tensor, high: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """First pixel and one past the last with centre in [low, high); the nearest pixel if there is none."""
    start = (low - 0.5).ceil().clamp(0, size)
    stop = (high - 0.5).ceil().clamp(0, size)
    nearest = ((low + high) / 2).floor().clamp(0, size - 1)
    empty = stop <= start
    return torch.where(empty, nearest, start).long(), torch.where(empty, nearest + 1, stop).long()


def spans(box: Tensor, shape: tuple[int, int]) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """First row and one past the last of each box (B, 4), then its columns, each (B,).

    Raises:
        ValueError: no boxes of that shape.
    """
    if box.ndim != 2 or box.shape[1] != 4:
        raise ValueError(f"expected boxes of shape (B, 4) as x1, y1, x2, y2, got {tuple(box.shape)}")
    x1, y1, x2, y2 = box.unbind(1)
    return _span(y1, y2, shape[0]), _span(x1, x2, shape[1])


def inside(index: Tensor, span: tuple[Tensor, Tensor]) -> Tensor:
    """Mask of the rows or columns (N,) or (B, N) that each span (B,), (B,) contains: boolean (B, N)."""
    return (index >= span[0][:, None]) & (index < span[1][:, None])


def box_mask(box: Tensor, shape: tuple[int, int]) -> Tensor:
    """Pixels of an (H, W) image inside each box (B, 4), as a boolean (B, 1, H, W).

    A pixel is inside if its centre is (left and top edge included). Along an axis on which the box covers no
    centre, the nearest row or column is taken, so that no mask is empty.
    """
    rows, columns = spans(box, shape)
    in_rows = inside(torch.arange(shape[0], device=box.device), rows)
    in_columns = inside(torch.arange(shape[1], device=box.device), columns)
    return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over all but the first axis where `mask` holds: (B, ...) to (B,)."""
    return torch.where(mask, values, 0).flatten(1).sum(1) / mask.flatten(1).sum(1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes (B, 4) of positive area, pair by pair: (B,)."""
    shared = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    areas = [(box[:, 2:] - box[:, :2]).prod(1) for box in (a, b)]
    return shared / (areas[0] + areas[1] - shared)
