"""Confusion matrices of label maps, in torch; `overlap` turns the counts into scores."""

import torch
from torch import Tensor

from ushydra_lab.losses.segmentation import IGNORE, refuse_labels
from ushydra_lab.metrics.overlap import Counts


def confusion(pred: Tensor, true: Tensor, classes: int) -> Tensor:
    """Pixels of each true (row) and predicted (column) label, (B, K, K), of label maps (B, H, W).

    Pixels whose true label is IGNORE are not counted.

    Raises:
        ValueError: unequal shapes, or labels that are not below `classes`, naming them.
    """
    if pred.shape != true.shape or pred.ndim != 3:
        raise ValueError(f"expected two label maps (B, H, W), got {tuple(pred.shape)} and {tuple(true.shape)}")
    known = true != IGNORE
    for name, labels in (("predicted", pred), ("true", true)):
        strange = known & ((labels < 0) | (labels >= classes))
        refuse_labels(labels, strange, f"{name} labels must be below {classes}")
    image = torch.arange(len(true), device=true.device)[:, None, None]
    index = ((image * classes + true.long()) * classes + pred.long()).where(known, len(true) * classes**2).flatten()
    counts = index.new_zeros(len(true) * classes**2 + 1)  # bincount would wait for a GPU; the last counts IGNORE
    counts = counts.scatter_add_(0, index, torch.ones_like(index))
    return counts[:-1].view(len(true), classes, classes)


def counts_of(confusions: Tensor) -> Counts:
    """`Counts` (..., K) of confusion matrices (..., K, K), as tensors."""
    return Counts(confusions.diagonal(dim1=-2, dim2=-1), confusions.sum(-1), confusions.sum(-2))
