"""Losses of a segmentation for rare classes (fetal brain thesis, section 3.5).

All take finite logits (B, K, H, W), labels (B, H, W) of integers 0 to K - 1, and weights of the classes (K,) or None,
and return a scalar for the batch. A pixel labelled IGNORE counts nowhere; a batch of such pixels alone has
cross-entropy and focal loss 0 without gradient. All work is done in float32 or better whatever the network's precision,
and with operations that are reproducible on a GPU (PyTorch's own cross-entropy of images is not).
"""

import torch
from torch import Tensor

from ushydra_lab.devices import ensure

IGNORE = 255


def class_weights(counts: Tensor, cap: float = 10.0) -> Tensor:
    """Weight of each class, inverse to its frequency (section 3.5, below equation 3.2), (K,).

    The commonest class has 1, and none more than `cap`: a class of a hundredth of the pixels would otherwise
    outweigh the rest a hundredfold.

    Args:
        counts: pixels of each class in the training images, (K,).
        cap: largest weight.

    Raises:
        ValueError: classes without any pixel, naming them.
    """
    empty = (counts <= 0).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"no training pixel has label {', '.join(map(str, empty))}: a class never seen has no weight")
    return (counts.max() / counts).clamp(max=cap)


def _check(logits: Tensor, labels: Tensor, weights: Tensor | None) -> None:
    if logits.ndim != 4 or labels.shape != (logits.shape[0], *logits.shape[2:]) or labels.is_floating_point():
        raise ValueError(
            "expected logits (B, K, H, W) and integer labels (B, H, W), "
            f"got {tuple(logits.shape)} and {labels.dtype} {tuple(labels.shape)}"
        )
    classes = logits.shape[1]
    if weights is not None and weights.shape != (classes,):
        raise ValueError(f"expected one weight for each of {classes} classes, got shape {tuple(weights.shape)}")
    strange = (labels >= classes) & (labels != IGNORE) | (labels < 0)
    refuse_labels(labels, strange, f"labels must be below {classes} or {IGNORE}")


def refuse_labels(labels: Tensor, strange: Tensor, rule: str) -> None:
    """
    Raises:
        ValueError: the rule, and the labels that break it, where there are `strange` ones (a mask).
    """
    ensure(~strange, lambda: f"{rule}, found {labels[strange].unique().tolist()}")


def _prepared(logits: Tensor, labels: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities (B, K, H, W), 1 where they are the truth's and else 0 (also where IGNORE), and weights (K,)."""
    _check(logits, labels, weights)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    truth = labels[:, None] == torch.arange(logits.shape[1], device=labels.device)[:, None, None]
    weights = logits.new_ones(logits.shape[1]) if weights is None else weights.to(logits)
    return logits.log_softmax(1), truth.to(logits.dtype), weights


def _class_sums(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum((0, 2, 3))  # a product takes a CPU a tenth of the time of torch.where


def _pixels(truth: Tensor) -> Tensor:
    """Of each class, (K,); counted in integers, since float32 has none of more than 2^24 px."""
    return truth.sum((0, 2, 3), dtype=torch.int64)


def _weighted_mean(values: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    return (weights * _class_sums(values, truth)).sum() / (weights * _pixels(truth)).sum().clamp(min=1e-12)


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy, a mean over pixels weighted by the weight of each one's class (equations 3.1 and 3.2).

    As in `torch.nn.functional.cross_entropy` the sum is divided by that of the weights, not by the number of
    pixels as printed: the loss then does not depend on the weights' scale.
    """
    log_p, truth, weights = _prepared(logits, labels, weights)
    return -_weighted_mean(log_p, truth, weights)


def focal(logits: Tensor, labels: Tensor, weights: Tensor | None = None, gamma: float = 2.0) -> Tensor:
    """Focal loss (Lin et al. 2017, equation 3.3): cross-entropy of each pixel times (1 - p)^gamma.

    `weights` are the paper's alpha, normalised as in `cross_entropy`, which it equals at gamma 0.
    """
    log_p, truth, weights = _prepared(logits, labels, weights)
    # Clamped, since the power's gradient at 0 is infinite for a gamma below 1.
    miss = (-torch.expm1(log_p)).clamp(min=1e-12)
    return -_weighted_mean(log_p * miss**gamma, truth, weights)


def soft_dice(logits: Tensor, labels: Tensor, weights: Tensor | None = None, smooth: float = 1.0) -> Tensor:
    """1 - weighted mean over classes of the soft Dice with squared denominator (equation 3.4).

    Sums run over all pixels of the batch, so that a structure need not be in every image. A class that is not in
    the batch at all has Dice smooth / (smooth + sum of p^2): 1 if it is not predicted, less where it is.

    Args:
        smooth: pixels added above and below, above 0.

    Raises:
        ValueError: shapes or labels as in all losses, or `smooth` not above 0.
    """
    if smooth <= 0:
        raise ValueError(f"smooth must be above 0 px, got {smooth}: a class that is not in the batch would be 0 / 0")
    log_p, truth, weights = _prepared(logits, labels, weights)
    p = log_p.exp()
    squares = _class_sums(p.square(), (labels != IGNORE)[:, None].to(p.dtype)) + _pixels(truth)
    dice = (2 * _class_sums(p, truth) + smooth) / (squares + smooth)
    return 1 - (weights * dice).sum() / weights.sum()
