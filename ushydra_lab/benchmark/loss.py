"""Speed of the lab's losses and of its Dice against what a user would take from libraries, or write in plain torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from kornia.geometry.subpix import spatial_soft_argmax2d
from monai.losses import DiceCELoss
from monai.metrics import DiceMetric
from torch import Tensor

from ushydra_lab.benchmark.lab import ROI_EXPERIMENT, Lab
from ushydra_lab.benchmark.plain import Similarity, batch_as_channels, plain_ms_ssim
from ushydra_lab.benchmark.rows import Row, faster
from ushydra_lab.benchmark.timing import Work, interleaved
from ushydra_lab.geometry.heatmaps import TEMPERATURE, log_map, soft_argmax
from ushydra_lab.losses.ms_ssim import ms_ssim
from ushydra_lab.losses.segmentation import cross_entropy, soft_dice
from ushydra_lab.metrics.overlap import overlap
from ushydra_lab.metrics.segmentation import confusion, counts_of

PART = "loss"
PLAIN, COMPETENT = "pytorch-msssim, one channel", "pytorch-msssim, batch as channels"
POINTS, STRIDE, SIGMA = 4, 2.0, 4.0
"""Landmarks, px a cell of a heatmap, and px of a Gaussian's width."""


def rows(lab: Lab) -> Iterator[Row]:
    """Losses forward and backward; the Dice of each image and structure. No aim is beside the plain way."""
    experiment = lab.experiment(ROI_EXPERIMENT)
    x = torch.rand(experiment.batch_size, 1, *experiment.canvas, device=lab.device)
    x_hat = 0.9 * x + 0.05
    plain = plain_ms_ssim()
    works = {"ours": ms_ssim, PLAIN: plain, COMPETENT: batch_as_channels(plain)}
    losses = {name: backward(partial(_dissimilarity, work, x), x_hat) for name, work in works.items()}
    yield from _beside(lab, "MS-SSIM forward+backward", x, losses)
    heads = lab.experiment("brain_attention_unet")
    assert heads.structures
    classes = 1 + len(heads.structures)
    z = torch.randn(heads.batch_size, classes, *heads.canvas, device=lab.device)
    pred, true = (patches(z.roll(shift, 0)) for shift in (0, 1))
    logits = z.contiguous(memory_format=torch.channels_last)
    hybrid = {name: backward(partial(loss, labels=true), logits) for name, loss in HYBRIDS.items()}
    yield from _beside(lab, "Dice + cross-entropy forward+backward", z, hybrid)
    dice = {name: partial(score, pred, true, classes) for name, score in DICE.items()}
    yield from _beside(lab, "Dice of label maps", pred, dice)
    maps = torch.randn(heads.batch_size, POINTS, *(side // int(STRIDE) for side in heads.canvas), device=lab.device)
    points = {name: backward(partial(_mean, work), maps) for name, work in SOFT_ARGMAX.items()}
    yield from _beside(lab, "soft-argmax forward+backward", maps, points)


def _beside(lab: Lab, what: str, of: Tensor, works: Mapping[str, Work]) -> Iterator[Row]:
    """Ours beside the plain and then the competent way, of tensors of a shape."""
    ours, *others = works
    times, size = interleaved(works, lab.repeats, lab.device), "x".join(map(str, of.shape))
    for against, aim in zip(others, (None, 1.0), strict=True):
        yield faster(PART, what, size, times[ours], against, times[against], aim)


def _dissimilarity(similarity: Similarity, x: Tensor, x_hat: Tensor) -> Tensor:
    return (1 - similarity(x_hat, x)).mean()


def _mean(work: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return work(x).mean()


def backward(loss: Callable[[Tensor], Tensor], at: Tensor) -> Work:
    """A work: the loss and its gradient at this point."""
    point = at.clone(memory_format=torch.preserve_format).requires_grad_()

    def work() -> None:
        point.grad = None
        loss(point).backward()

    return work


def patches(noise: Tensor) -> Tensor:
    """Label maps (B, H, W) of smooth regions, as of anatomy, from noise (B, K, H, W)."""
    return F.avg_pool2d(noise, 31, 1, 15, count_include_pad=False).argmax(1)


def ours_hybrid(logits: Tensor, labels: Tensor) -> Tensor:
    """Dice and cross-entropy as a configuration adds them."""
    return soft_dice(logits, labels) + cross_entropy(logits, labels)


def plain_hybrid(logits: Tensor, labels: Tensor) -> Tensor:
    """The same in plain torch, with labels as one-hot."""
    p, truth = logits.softmax(1), F.one_hot(labels, logits.shape[1]).movedim(-1, 1)
    both, squares = (values.sum((0, 2, 3)) for values in (p * truth, p.square() + truth))
    return 1 - ((2 * both + 1) / (squares + 1)).mean() + F.cross_entropy(logits, labels)


def monai_hybrid(logits: Tensor, labels: Tensor) -> Tensor:
    """The same by MONAI, whose smoothing stands for ours."""
    loss = DiceCELoss(to_onehot_y=True, softmax=True, squared_pred=True, batch=True, smooth_nr=1, smooth_dr=1)
    found: Tensor = loss(logits, labels[:, None])
    return found


def ours_dice(pred: Tensor, true: Tensor, classes: int) -> Tensor:
    """Dice (B, K) of label maps (B, H, W)."""
    scores: Tensor = overlap(counts_of(confusion(pred, true, classes)))["dice"]
    return scores


def monai_dice(pred: Tensor, true: Tensor, classes: int) -> Tensor:
    """The same by MONAI."""
    scores: Tensor = DiceMetric(num_classes=classes)(pred[:, None], true[:, None])
    return scores


def plain_dice(pred: Tensor, true: Tensor, classes: int) -> Tensor:
    """The same by one comparison for each class."""
    here, there = ([(labels == label).flatten(1) for label in range(classes)] for labels in (pred, true))
    counts = [(2 * (a & b).sum(1), a.sum(1) + b.sum(1), b.any(1)) for a, b in zip(here, there, strict=True)]
    return torch.stack([torch.where(has, both / area, torch.nan) for both, area, has in counts], 1)


def ours_points(logits: Tensor) -> Tensor:
    """Points (B, P, 2), px, with maps continued beyond the border."""
    return soft_argmax(logits, STRIDE, SIGMA)


def plain_points(logits: Tensor) -> Tensor:
    """The same without the border, in plain torch."""
    p = (log_map(logits) / TEMPERATURE).flatten(2).softmax(-1).view_as(logits)
    rows, columns = (torch.arange(size, device=logits.device) + 0.5 for size in logits.shape[-2:])
    return STRIDE * torch.stack([(p * columns).sum((-2, -1)), (p * rows[:, None]).sum((-2, -1))], -1)


def kornia_points(logits: Tensor) -> Tensor:
    """The same without the border, by kornia."""
    sharp = log_map(logits) / TEMPERATURE
    return STRIDE * (spatial_soft_argmax2d(sharp, normalized_coordinates=False) + 0.5)


HYBRIDS = {"ours": ours_hybrid, "plain torch, one-hot": plain_hybrid, "MONAI's DiceCELoss": monai_hybrid}
DICE = {"ours": ours_dice, "MONAI's DiceMetric": monai_dice, "plain torch, a class at a time": plain_dice}
SOFT_ARGMAX = {"ours": ours_points, "plain torch": plain_points, "kornia's spatial_soft_argmax2d": kornia_points}
