"""Losses inside a box: absolute error and difference of Sobel edges (paper 1, section 2.4).

Boxes are (x1, y1, x2, y2) edges in px on the canvas; pixel (row r, column c) has its centre at
(c + 0.5, r + 0.5). All losses take a reconstruction and its reference, (B, 1, H, W) in [0, 1], and return one
value per image, (B,). Boxes must be finite with x2 > x1 and y2 > y1, as the data module delivers them.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ushydra_lab.geometry.boxes import inside, masked_mean, spans

EdgeNorm = Literal["reference", "self", "kernel"]

# One grey level of 255: a flat box must not turn its rounding noise into edges.
_MIN_EDGE = 1 / 255


def image_pair(x_hat: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Both images in one type of at least float32, whatever precision the network ran in.

    Raises:
        ValueError: the shapes differ or are not (B, 1, H, W), or the reference asks for a gradient.
    """
    if x_hat.shape != x.shape or x.ndim != 4 or x.shape[1] != 1:
        raise ValueError(f"expected two images of shape (B, 1, H, W), got {tuple(x_hat.shape)} and {tuple(x.shape)}")
    if x.requires_grad:
        raise ValueError("the reference (second argument) gets no gradient: pass the reconstruction first")
    dtype = torch.promote_types(torch.promote_types(x_hat.dtype, x.dtype), torch.float32)
    return x_hat.to(dtype), x.to(dtype)


def patches_of(images: list[Tensor], box: Tensor, margin: int = 0) -> tuple[list[Tensor], Tensor]:
    """Each image's own box, cut to one common size, and which of its pixels belong to the box.

    Returns patches (B, h + 2 margin, w + 2 margin) and a mask (B, h, w). Beyond the image border the border
    pixel repeats. Cutting first makes the cost that of the box, not of the canvas.
    """
    height, width = images[0].shape[-2:]
    rows, columns = spans(box, (height, width))
    h, w = torch.stack([rows[1] - rows[0], columns[1] - columns[0]]).amax(1).tolist()
    row = rows[0][:, None] + torch.arange(-margin, h + margin, device=box.device)
    column = columns[0][:, None] + torch.arange(-margin, w + margin, device=box.device)
    image = torch.arange(len(box), device=box.device)[:, None, None]
    index = (image, row.clamp(0, height - 1)[:, :, None], column.clamp(0, width - 1)[:, None, :])
    in_rows = inside(row, rows)[:, margin : margin + h]
    in_columns = inside(column, columns)[:, margin : margin + w]
    return [i[:, 0][index] for i in images], in_rows[:, :, None] & in_columns[:, None, :]


def sobel_valid(x: Tensor) -> Tensor:
    """Sobel magnitude (..., h - 2, w - 2) of (..., h, w). Sums: autocast would lower a convolution."""
    smooth_rows = (x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :]) / 4
    smooth_columns = (x[..., :, :-2] + 2 * x[..., :, 1:-1] + x[..., :, 2:]) / 4
    horizontal = smooth_rows[..., 2:] - smooth_rows[..., :-2]
    vertical = smooth_columns[..., 2:, :] - smooth_columns[..., :-2, :]
    squared = (horizontal.square() + vertical.square()) / 2
    # The gradient of a square root at 0 is infinite: flat places take a constant's instead, which is 0.
    return torch.where(squared > 0, squared, 1).sqrt().where(squared > 0, 0)


def sobel_magnitude(x: Tensor) -> Tensor:
    """Sobel gradient magnitude, (B, 1, H, W) to the same shape; the border pixel repeats beyond the border.

    Kernels are scaled to unit smoothing (1, 2, 1)/4 and unit difference (-1, 0, 1), and the two squared
    components are averaged, as in `skimage.filters.sobel`: images in [0, 1] give magnitudes in [0, 1].
    """
    return sobel_valid(F.pad(x, (1, 1, 1, 1), mode="replicate"))


def roi_l1(x_hat: Tensor, x: Tensor, box: Tensor) -> Tensor:
    """Mean absolute error inside each box, (B,) (ROI-L1, section 2.4)."""
    (a, b), inside = patches_of(list(image_pair(x_hat, x)), box)
    return masked_mean((a - b).abs(), inside)


def roi_edge(x_hat: Tensor, x: Tensor, box: Tensor, norm: EdgeNorm = "reference") -> Tensor:
    """Mean absolute difference of normalised Sobel magnitudes inside each box, (B,) (ROI-edge, section 2.4).

    Magnitudes are those of the whole image, not of a crop. `norm` says what they are divided by: `reference`:
    both by the 99th percentile of the reference's magnitude in the box, without gradient, so that a faded
    edge costs; `self`: each by its own maximum in the box, which forgives it; `kernel`: nothing, the Sobel
    kernel's own scale (see `sobel_magnitude`). Divisors are at least 1/255.

    Raises:
        ValueError: unknown `norm`.
    """
    patches, inside = patches_of(list(image_pair(x_hat, x)), box, margin=1)
    edges_hat, edges = (sobel_valid(patch) for patch in patches)
    scale_hat, scale = _edge_scales(edges_hat, edges, inside, norm)
    return masked_mean((edges_hat / scale_hat - edges / scale).abs(), inside)


def _largest(edges: Tensor, inside: Tensor) -> Tensor:
    return edges.where(inside, 0).amax((1, 2), keepdim=True).clamp(min=_MIN_EDGE)


def edge_scale(edges: Tensor, inside: Tensor) -> Tensor:
    """99th percentile of Sobel magnitudes (B, h, w) where `inside`, at least 1/255: (B, 1, 1)."""
    values = edges.masked_fill(~inside, torch.nan).flatten(1)
    return torch.nanquantile(values, 0.99, dim=1).clamp(min=_MIN_EDGE)[:, None, None]


def _edge_scales(edges_hat: Tensor, edges: Tensor, inside: Tensor, norm: EdgeNorm) -> tuple[Tensor, Tensor]:
    if norm == "reference":
        scale = edge_scale(edges, inside)
        return scale, scale
    if norm == "self":
        return _largest(edges_hat, inside), _largest(edges, inside)
    if norm == "kernel":
        return edges.new_ones(()), edges.new_ones(())
    raise ValueError(f"unknown edge norm {norm!r}: choose reference, self or kernel")
