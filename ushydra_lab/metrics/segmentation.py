"""How well a label map agrees with the expert's, from counts of pixels (fetal brain thesis, section 3.7).

Everything follows from three counts of pixels a class and image, `Counts`, that a confusion matrix has. Three Dice are
told apart, because their values differ widely where structures are small or often absent:

- micro: of the pixels of all images together;
- macro: the mean over the images in which the structure is present, the default;
- per image: the mean over all images, with 1 if the structure is absent from both maps and 0 if from one of them.

In all else a structure that is absent from the truth has no value: NaN, never 0 or 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ushydra_lab.losses.segmentation import IGNORE

PRESENT_PX = 5


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


class Counts(NamedTuple):
    """Pixels of each class, (..., K), label 0 the background: of both maps, of the truth, of the prediction."""

    both: Tensor
    true: Tensor
    pred: Tensor

    @classmethod
    def of(cls, confusions: Tensor) -> Counts:
        """Of confusion matrices (..., K, K)."""
        return cls(confusions.diagonal(dim1=-2, dim2=-1), confusions.sum(-1), confusions.sum(-2))

    @classmethod
    def of_arrays(cls, both: ArrayLike, true: ArrayLike, pred: ArrayLike) -> Counts:
        """Of counts that were stored, each (..., K)."""
        return cls(torch.tensor(both), torch.tensor(true), torch.tensor(pred))

    def total(self) -> Counts:
        """Of all images together, (K,), of images (N, K)."""
        return Counts(*(count.sum(0) for count in self))


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / whole, torch.nan)


def overlap(counts: Counts) -> dict[str, Tensor]:
    """`dice`, `iou`, `precision` and `recall` of each class, (..., K).

    NaN where the class is absent from the truth; precision also where it is not predicted.
    """
    both, true, pred = counts
    scores = {
        "dice": _ratio(2 * both, true + pred),
        "iou": _ratio(both, true + pred - both),
        "precision": _ratio(both, pred),
        "recall": _ratio(both, true),
    }
    return {name: score.where(true > 0, torch.nan) for name, score in scores.items()}


def dice_with_empty(counts: Counts) -> Tensor:
    """Dice of each class, (..., K), that is 1 where it is absent from both maps and 0 where from one of them."""
    return _ratio(2 * counts.both, counts.true + counts.pred).nan_to_num(1)


def three_dice(counts: Counts) -> dict[str, Tensor]:
    """`dice_micro`, `dice_macro` and `dice_per_image` (see above) of each class, (K,), of images (N, K).

    NaN for a class that no true map has, but for `dice_per_image`.
    """
    return {
        "dice_micro": overlap(counts.total())["dice"],
        "dice_macro": overlap(counts)["dice"].nanmean(0),
        "dice_per_image": dice_with_empty(counts).mean(0),
    }


def pooled(counts: Counts) -> dict[str, Tensor]:
    """Scores of the pixels of all images (N, K) together.

    Returns:
        `iou`, `precision`, `recall`, `f1` (K,) of each class, as in `overlap`. F1 (equation 3.9) is the harmonic
        mean of precision and recall: for pixels the same number as the micro Dice.
        `miou` and `miou_foreground`, the mean IoU over classes present in the truth, with and without label 0;
        `fw_iou`, weighted by the pixels each class has in the truth; `pixel_accuracy`: scalars. NaN without pixels.
    """
    total = counts.total()
    scores = overlap(total)
    scores["f1"] = scores.pop("dice")
    iou = scores["iou"]
    return scores | {
        "miou": iou.nanmean(),
        "miou_foreground": iou[1:].nanmean(),
        "fw_iou": _ratio((total.true * iou.nan_to_num(0)).sum(), total.true.sum()),
        "pixel_accuracy": _ratio(total.both.sum(), total.true.sum()),
    }


def presence(counts: Counts, min_pixels: int = PRESENT_PX) -> dict[str, Tensor]:
    """`sensitivity` and `specificity` of finding each class in an image at all, (K,), of images (N, K).

    A class is in the truth if it has a pixel, and predicted if it has more than `min_pixels`. Sensitivity is NaN for
    a class in no image, specificity for one in every image.
    """
    there, found = counts.true > 0, counts.pred > min_pixels
    return {
        "sensitivity": _ratio((there & found).sum(0), there.sum(0)),
        "specificity": _ratio((~there & ~found).sum(0), (~there).sum(0)),
    }
