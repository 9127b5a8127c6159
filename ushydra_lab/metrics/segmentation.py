"""Confusion matrices of label maps, in torch; `overlap` turns the counts into scores."""

import torch
from torch import Tensor

from ushydra_lab.losses.segmentation import IGNORE
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
    for name, labels in (("predicted", pred[known]), ("true", true[known])):
        strange = labels[(labels < 0) | (labels >= classes)].unique().tolist()
        if strange:
            raise ValueError(f"{name} labels must be below {classes}, found {strange}")
    image = torch.arange(len(true), device=true.device)[:, None, None].expand(true.shape)
    index = (image[known] * classes + true[known].long()) * classes + pred[known].long()
    return index.bincount(minlength=len(true) * classes**2).view(len(true), classes, classes)


def counts_of(confusions: Tensor) -> Counts:
    """`Counts` (..., K) of confusion matrices (..., K, K), as tensors."""
    return Counts(confusions.diagonal(dim1=-2, dim2=-1), confusions.sum(-1), confusions.sum(-2))
