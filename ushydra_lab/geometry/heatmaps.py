"""Heatmaps of landmarks: drawing them from points, decoding them to points, and their uncertainty (landmark report).

**Reading of a network's output.** Logits z (B, P, h, w) stand for the map m = sigmoid(z + OFFSET) in (0, 1),
everywhere: the loss compares m with the drawn Gaussian, decoders and uncertainty normalise it as p ~ m^(1/T), T the
temperature. A fresh network (z near 0) so draws an almost empty map of height PRIOR. From 0.5 everywhere the squared
error of the background would drive all logits down until the sigmoid has no gradient left, and the maps stay empty
(the remedy of T.-Y. Lin et al., Focal loss, ICCV 2017, section 4.1, for which no network need do anything here).

**Coordinates.** Points (..., 2) are (x, y) in px of the canvas. Cell (row i, column j) of a map with `stride` px a cell
has its centre at ((j + 0.5) stride, (i + 0.5) stride).

**Borders.** A peak at the border is cut, and the mean of what is left lies inside. Where a decoder needs a
neighbourhood the map is first continued beyond the border as a Gaussian of the drawn width: log m is continued as the
parabola through the two outermost cells with curvature -1/sigma^2. For a drawn Gaussian that is exact. No slope may
place the peak off the canvas, so that what is added never exceeds the outermost cell.

All work is done in float32 or better whatever the network's precision. With sigma of at least 1.5 cells every decoder
but `Argmax` finds a drawn Gaussian, at the border and in corners too, within 0.1 px at strides up to 4.
"""

from dataclasses import dataclass
from math import ceil, log

import torch
import torch.nn.functional as F
from torch import Tensor

from ushydra_lab.devices import sent

PRIOR = 0.01
OFFSET = log(PRIOR / (1 - PRIOR))
TEMPERATURE = 0.25
_REACH = 3.0  # sigmas beyond which a Gaussian is taken for zero


def draw(points: Tensor, size: tuple[int, int], stride: float, sigma: float) -> Tensor:
    """Gaussians of height 1 exactly at the points, (B, P, h, w).

    Args:
        points: (B, P, 2), px; where one is NaN its map is zero (`known` tells which).
        size: (h, w) of the maps in cells.
        stride: px a cell.
        sigma: standard deviation in px, not in cells.

    Raises:
        ValueError: points of another shape, or a sigma that is not above 0.
    """
    if points.ndim != 3 or points.shape[-1] != 2:
        raise ValueError(f"expected points (B, P, 2), got {tuple(points.shape)}")
    if sigma <= 0:
        raise ValueError(f"sigma must be above 0 px, got {sigma}")
    there = is_annotated(points)
    x, y = torch.where(there[..., None], points, 0)[..., None].unbind(-2)
    columns, rows = ((_cells(n, points) + 0.5) * stride for n in (size[1], size[0]))
    along, down = (torch.exp(-((d / sigma) ** 2) / 2) for d in (columns - x, rows - y))
    return there[..., None, None] * down[..., :, None] * along[..., None, :]


def is_annotated(points: Tensor) -> Tensor:
    """Mask (B, P) of the points (B, P, 2) that have both coordinates."""
    return ~points.isnan().any(-1)


def _cells(n: int, like: Tensor) -> Tensor:
    return torch.arange(n, dtype=like.dtype, device=like.device)


def log_map(logits: Tensor) -> Tensor:
    """log m (B, P, h, w) of logits, in float32 or better.

    Raises:
        ValueError: not (B, P, h, w), or a side of less than two cells.
    """
    if logits.ndim != 4 or min(logits.shape[-2:]) < 2:
        raise ValueError(f"expected logits (B, P, h, w) of at least 2x2 cells, got {tuple(logits.shape)}")
    return F.logsigmoid(logits.to(torch.promote_types(logits.dtype, torch.float32)) + OFFSET)


def heatmap(logits: Tensor) -> Tensor:
    """The map m (B, P, h, w) in (0, 1) that logits stand for. Raises as `log_map`."""
    return log_map(logits).exp()


def _extended(log_m: Tensor, sigma: float, margin: int) -> Tensor:
    """The map continued by `margin` cells beyond each border (see above); sigma in cells."""
    steps = _cells(margin, log_m) + 1
    fall = steps * (steps + 1) / (2 * sigma**2)
    for _ in range(2):
        left, right = ([log_m[..., i], log_m[..., j]] for i, j in ((0, 1), (-1, -2)))
        before, after = (
            outer[..., None] + steps * (outer - inner)[..., None].clamp(max=1 / sigma**2) - fall
            for outer, inner in (left, right)
        )
        log_m = torch.cat([before.flip(-1), log_m, after], -1).mT
    return log_m


def _normalised(log_m: Tensor, temperature: float | Tensor) -> Tensor:
    """log p of maps (B, P, h, w); temperature () or (P,)."""
    t = sent(temperature, log_m, log_m.dtype)
    return (log_m / t.reshape(-1, 1, 1)).flatten(2).log_softmax(-1).view_as(log_m)


def _mean_cell(p: Tensor) -> Tensor:
    """Expected (column, row), (B, P, 2), counted from 0."""
    axes = [p.sum(-2), p.sum(-1)]
    return torch.stack([(axis * _cells(axis.shape[-1], p)).sum(-1) for axis in axes], -1)


def _mode(values: Tensor) -> Tensor:
    """(column, row) of the largest value, (B, P, 2); the first of equals."""
    index, width = values.flatten(2).argmax(-1), values.shape[-1]
    return torch.stack([index % width, index // width], -1)


def _window(values: Tensor, mode: Tensor, radius: int) -> Tensor:
    """(B, P, 2 radius + 1, 2 radius + 1) cells round each mode, of maps that were extended by `radius`."""
    offsets = torch.arange(2 * radius + 1, device=values.device)
    columns, rows = (mode[..., None] + offsets).unbind(-2)
    index = rows[..., :, None] * values.shape[-1] + columns[..., None, :]
    return values.flatten(2).gather(2, index.flatten(2)).view(index.shape)


def soft_argmax(logits: Tensor, stride: float, sigma: float, temperature: float | Tensor = TEMPERATURE) -> Tensor:
    """Expected position (B, P, 2), px, under the whole map; differentiable, also in the temperature.

    The background pulls to the middle of the canvas: at temperature 1 ten thousand cells of 0.001 weigh as much as a
    peak of sigma 1.3 cells. A temperature T < 1 raises the map to the power 1/T, which leaves nothing of the
    background and makes a Gaussian narrower, sigma sqrt(T). That must stay above 0.6 cells to be sampled well enough.
    Two equal peaks still give the point midway.

    Args:
        logits: (B, P, h, w).
        stride: px a cell.
        sigma: of the drawn Gaussians, px.
        temperature: above 0; a number or a tensor, () or (P,).
    """
    cells = sigma / stride
    margin = ceil(_REACH * cells)
    p = _normalised(_extended(log_map(logits), cells, margin), temperature).exp()
    return (_mean_cell(p) - margin + 0.5) * stride


@dataclass(frozen=True)
class Argmax:
    """The centre of the highest cell: at best within half a stride on each axis."""

    def __call__(self, logits: Tensor, stride: float) -> Tensor:
        """Points (B, P, 2), px, of logits (B, P, h, w)."""
        return (_mode(logits).to(torch.promote_types(logits.dtype, torch.float32)) + 0.5) * stride


@dataclass(frozen=True)
class SoftArgmax:
    """`soft_argmax` with a sigma (px) and a temperature; a learned one is put in by `dataclasses.replace`."""

    sigma: float
    temperature: float | Tensor = TEMPERATURE

    def __call__(self, logits: Tensor, stride: float) -> Tensor:
        """Points (B, P, 2), px, of logits (B, P, h, w)."""
        return soft_argmax(logits, stride, self.sigma, self.temperature)


@dataclass(frozen=True)
class LocalSoftArgmax:
    """Expected position in a square window about the highest cell: a second peak further away does not count.

    sigma: of the drawn Gaussians, px. radius: half the window's side, in sigmas; at least one cell.
    temperature: as in `soft_argmax`; one below 1 also makes the window's cut harmless, which is symmetric about the
    cell, not about the peak.
    """

    sigma: float
    radius: float = _REACH
    temperature: float = 0.5

    def __call__(self, logits: Tensor, stride: float) -> Tensor:
        """Points (B, P, 2), px, of logits (B, P, h, w)."""
        cells = self.sigma / stride
        radius = max(1, ceil(self.radius * cells))
        mode = _mode(logits)
        window = _window(_extended(log_map(logits), cells, radius), mode, radius)
        return (mode + _mean_cell(_normalised(window, self.temperature).exp()) - radius + 0.5) * stride


@dataclass(frozen=True)
class Dark:
    """Distribution-aware decoding: F. Zhang et al., CVPR 2020, section 3.2.

    The map is smoothed with the drawn Gaussian (equation 10; the rescaling after it, equation 11, does not move the
    peak), and a Taylor expansion of its logarithm about the highest cell gives the peak (equation 9), with the
    differences of the authors' code. The step is at most one cell, and none where the logarithm has no peak there.

    sigma: of the drawn Gaussians, px.
    """

    sigma: float

    def __call__(self, logits: Tensor, stride: float) -> Tensor:
        """Points (B, P, 2), px, of logits (B, P, h, w)."""
        cells = self.sigma / stride
        reach = ceil(_REACH * cells)
        smooth = _smoothed(_extended(log_map(logits), cells, reach + 2).exp(), cells, reach)
        mode = _mode(smooth[..., 2:-2, 2:-2])
        return (mode + _taylor_step(_window(smooth, mode, 2).clamp(min=1e-10).log()) + 0.5) * stride


def _smoothed(maps: Tensor, sigma: float, reach: int) -> Tensor:
    """Gaussian smoothing of (B, P, h, w) with a kernel of `reach` cells to each side, by which the maps shrink."""
    kernel = torch.exp(-(((_cells(2 * reach + 1, maps) - reach) / sigma) ** 2) / 2)
    kernel = kernel / kernel.sum()
    one = maps.flatten(0, 1)[:, None]
    with torch.autocast(maps.device.type, enabled=False):
        one = F.conv2d(F.conv2d(one, kernel[None, None, None]), kernel[None, None, :, None])
    return one[:, 0].unflatten(0, maps.shape[:2])


def _taylor_step(w: Tensor) -> Tensor:
    """From the middle of log-maps (B, P, 5, 5) to the peak: (column, row) (B, P, 2), in cells."""
    dx, dy = (w[..., 2, 3] - w[..., 2, 1]) / 2, (w[..., 3, 2] - w[..., 1, 2]) / 2
    dxx = (w[..., 2, 4] - 2 * w[..., 2, 2] + w[..., 2, 0]) / 4
    dyy = (w[..., 4, 2] - 2 * w[..., 2, 2] + w[..., 0, 2]) / 4
    dxy = (w[..., 3, 3] - w[..., 3, 1] - w[..., 1, 3] + w[..., 1, 1]) / 4
    determinant = dxx * dyy - dxy**2
    is_peak = (dxx < 0) & (determinant > 0)
    step = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], -1)
    return torch.where(is_peak[..., None], step / determinant[..., None], 0).clamp(-1, 1)


def uncertainty(logits: Tensor, stride: float, temperature: float | Tensor = TEMPERATURE) -> dict[str, Tensor]:
    """Spread of each normalised map on the canvas: a peak that the border cuts seems narrower than it is.

    At temperature 1 both measure little but the background: with 1 % of the mass spread evenly over a 256 px
    canvas, `spread_px` is over 10 px however sharp the peak.

    Returns:
        `entropy` (B, P) in nats, from 0 to log(h w).
        `spread_px` (B, P), the root of the trace of the positions' covariance, in px: sqrt(2 T) sigma for a
        drawn Gaussian.
    """
    log_p = _normalised(log_map(logits), temperature)
    p = log_p.exp()
    means = _mean_cell(p).unbind(-1)
    variances = [
        (axis * (_cells(axis.shape[-1], p) - mean[..., None]) ** 2).sum(-1)
        for axis, mean in zip((p.sum(-2), p.sum(-1)), means, strict=True)
    ]
    return {"entropy": -(p * log_p).sum((-2, -1)), "spread_px": stride * sum(variances, p.new_zeros(())).sqrt()}
