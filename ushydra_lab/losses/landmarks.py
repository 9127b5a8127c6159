"""Losses of landmarks: on heatmaps, on coordinates, and on the geometry of the two diameters (landmark report).

Each returns a scalar for the batch. Points are (x, y) in px of the canvas, NaN where missing; what is missing counts
nowhere, and a batch without any point has loss 0 and gradient 0.

Weights of channels say how the mean over landmarks is taken, their scale is nothing. A sample's weight scales its pull
whatever else is in the batch: 0.5 halves it.

The geometric terms hold for any head in an axial plane and need no truth. They take decoded points (B, 4, 2) in the
order OFD_1, OFD_2, BPD_1, BPD_2, and are 0 with gradient 0 within their tolerance.
"""

from collections.abc import Sequence
from math import hypot, log, pi, radians

import torch
from torch import Tensor

from ushydra_lab.geometry.heatmaps import draw, heatmap, is_annotated, uncertainty

MIN_LENGTH = 1.0  # px: a shorter diameter has no direction and is no yardstick


def heatmap_mse(
    logits: Tensor,
    points: Tensor,
    stride: float,
    sigma: float,
    channel_weights: Sequence[float] | Tensor | None = None,
    sample_weights: Tensor | None = None,
    sharpness: float = 0.0,
) -> Tensor:
    """Squared error between the maps (`heatmaps.heatmap`) and drawn Gaussians, in units of a Gaussian's own energy.

    The squares are summed over cells and divided by pi (sigma / stride)^2, the sum of a whole Gaussian's squares. A map
    of zeros so costs 1 whatever canvas, stride and sigma, where a mean over cells leaves it next to nothing (0.002 for
    64x64 cells and sigma 1.5) and a network that draws nothing is hardly told so.

    Args:
        logits: (B, P, h, w).
        points: (B, P, 2).
        stride: px a cell.
        sigma: of the Gaussians, px.
        channel_weights: (P,), e.g. more for the OFD's ends, which are harder (hypothesis 2).
        sample_weights: (B,), e.g. the manifest's label weights.
        sharpness: exponent of sharpness weighting (hypothesis 2); 0 is none. An image is weighted by s^sharpness
            over its batch mean, s = 1 - entropy / log(h w) of its predicted maps (mean over the known landmarks, no
            gradient): an image in which the network cannot tell where the landmarks are teaches less.

    Raises:
        ValueError: shapes that do not fit, a sigma that is not above 0.
    """
    m = heatmap(logits)
    if points.shape != (*m.shape[:2], 2):
        raise ValueError(f"expected points {(*m.shape[:2], 2)} for logits {tuple(logits.shape)}: {tuple(points.shape)}")
    target = draw(points.to(m.dtype), (m.shape[-2], m.shape[-1]), stride, sigma)
    errors = (m - target).square().sum((-2, -1)) / (pi * (sigma / stride) ** 2)
    if sharpness:
        sharp = _sharpness_weights(logits, is_annotated(points), sharpness)
        sample_weights = sharp if sample_weights is None else sharp * sample_weights.to(sharp)
    return _mean_of_known(errors, is_annotated(points), channel_weights, sample_weights)


def coordinate_l1(
    predicted: Tensor,
    points: Tensor,
    canvas: tuple[int, int],
    channel_weights: Sequence[float] | Tensor | None = None,
    sample_weights: Tensor | None = None,
) -> Tensor:
    """Mean |dx| + |dy| of predicted points (B, P, 2), as a fraction of the canvas's diagonal.

    Args:
        predicted: px.
        points: the truth (B, P, 2), px.
        canvas: (H, W), px.
        channel_weights: (P,).
        sample_weights: (B,).

    Raises:
        ValueError: shapes that do not fit.
    """
    if predicted.shape != points.shape or points.ndim != 3 or points.shape[-1] != 2:
        raise ValueError(f"expected two sets of points (B, P, 2): {tuple(predicted.shape)}, {tuple(points.shape)}")
    there = is_annotated(points)
    truth = torch.where(there[..., None], points, 0)
    errors = (predicted - truth).abs().sum(-1) / hypot(*canvas)
    return _mean_of_known(errors, there, channel_weights, sample_weights)


def _mean_of_known(
    errors: Tensor, there: Tensor, channels: Sequence[float] | Tensor | None, samples: Tensor | None
) -> Tensor:
    """Weighted mean of errors (B, P) where there is a landmark (B, P), 0 if there is none."""
    images, landmarks = errors.shape
    channel = errors.new_ones(landmarks) if channels is None else torch.as_tensor(channels).to(errors)
    sample = errors.new_ones(images) if samples is None else samples.to(errors)
    if channel.shape != (landmarks,) or sample.shape != (images,):
        raise ValueError(
            f"expected weights of {landmarks} landmarks and of {images} images, "
            f"got shapes {tuple(channel.shape)} and {tuple(sample.shape)}"
        )
    weights = there * channel
    pulls = torch.where(there, errors, 0) * weights * sample[:, None]
    return pulls.sum() / weights.sum().clamp(min=1e-12)


@torch.no_grad()
def _sharpness_weights(logits: Tensor, there: Tensor, exponent: float) -> Tensor:
    """(B,), with mean 1 over the images that have a landmark."""
    height, width = logits.shape[-2:]
    each = 1 - uncertainty(logits, stride=1)["entropy"] / log(height * width)
    labelled = there.any(1)
    # Never quite 0: a network that has learnt nothing yet must still weigh all alike.
    sharp = torch.where(there, each, 0).sum(1) / there.sum(1).clamp(min=1)
    weights = torch.where(labelled, sharp.clamp(min=1e-3) ** exponent, 0)
    return weights * labelled.sum() / weights.sum().clamp(min=1e-12)


def _diameters(points: Tensor) -> tuple[Tensor, Tensor]:
    """OFD and BPD as vectors (B, 2), px."""
    if points.ndim != 3 or points.shape[1:] != (4, 2):
        raise ValueError(f"expected points (B, 4, 2) as OFD_1, OFD_2, BPD_1, BPD_2, got {tuple(points.shape)}")
    return points[:, 1] - points[:, 0], points[:, 3] - points[:, 2]


def _lengths(vectors: Tensor) -> Tensor:
    return torch.linalg.vector_norm(vectors, dim=-1)


def angle_term(points: Tensor, tolerance_deg: float) -> Tensor:
    """Mean squared excess, in square radians, of the angle's deviation from 90 degrees over the tolerance.

    The deviation is from 0 to 90 degrees, whichever way the diameters point. A diameter under 1 px has no direction:
    it costs nothing and gets no gradient.
    """
    ofd, bpd = _diameters(points)
    measurable = torch.minimum(_lengths(ofd), _lengths(bpd)) >= MIN_LENGTH
    dot = (ofd * bpd).sum(-1).abs().where(measurable, 0)
    cross = (ofd[:, 0] * bpd[:, 1] - ofd[:, 1] * bpd[:, 0]).abs().where(measurable, 1)
    return (torch.atan2(dot, cross) - radians(tolerance_deg)).relu().square().mean()


def _yardstick(ofd: Tensor) -> Tensor:
    """Lengths of the OFD, px, without gradient: no term may fall because the ruler grows."""
    return _lengths(ofd.detach()).clamp(min=MIN_LENGTH)


def centre_term(points: Tensor, tolerance: float) -> Tensor:
    """Mean excess of the distance between the diameters' midpoints over the tolerance, both as fractions of the OFD."""
    ofd, _ = _diameters(points)
    apart = points[:, :2].mean(1) - points[:, 2:].mean(1)
    return (_lengths(apart) / _yardstick(ofd) - tolerance).relu().mean()


def order_term(points: Tensor, tolerance: float) -> Tensor:
    """Mean excess of BPD - OFD over the tolerance, as fractions of the OFD: a head is longer than it is wide."""
    ofd, bpd = _diameters(points)
    return ((_lengths(bpd) - _lengths(ofd)) / _yardstick(ofd) - tolerance).relu().mean()
