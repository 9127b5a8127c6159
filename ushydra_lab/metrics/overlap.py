"""Scores of label maps from three counts of pixels a class and image (fetal brain thesis, section 3.7).

Three Dice are told apart, because their values differ widely where structures are small or often absent:

- micro: of the pixels of all images together;
- macro: the mean over the images in which the structure is present, the default;
- per image: the mean over all images, with 1 if the structure is absent from both maps and 0 if from one of them.

In all else a structure that is absent from the truth has no value: NaN, never 0 or 1. Counts may be tensors, on their
device, or arrays: reports read stored ones without loading torch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = Any
"""A tensor or a NumPy array."""
Floats = NDArray[np.float64]
PRESENT_PX = 5


class Counts(NamedTuple):
    """Pixels of each class, (..., K), label 0 the background: of both maps, of the truth, of the prediction."""

    both: Array
    true: Array
    pred: Array


def overlap(counts: Counts) -> dict[str, Array]:
    """`dice`, `iou`, `precision` and `recall` of each class, (..., K).

    NaN where the class is absent from the truth; precision also where it is not predicted.
    """
    both, true, pred = counts
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN, as it is meant
        present = true / true
        scores = {"dice": 2 * both / (true + pred), "iou": both / (true + pred - both), "precision": both / pred}
        return {name: score * present for name, score in scores.items()} | {"recall": both / true}


def dice_with_empty(counts: Counts) -> Array:
    """Dice of each class, (..., K), that is 1 where it is absent from both maps and 0 where from one of them."""
    area = counts.true + counts.pred
    empty = area == 0
    return (2 * counts.both + empty) / (area + empty)


def disagreement(counts: Counts) -> Array:
    """|P xor G| / |G| of each class, (..., K), thesis 4: it needs the expert's mask G, so it measures disagreement, not
    anomaly. NaN where the class is absent from the truth.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return (counts.true + counts.pred - 2 * counts.both) / counts.true * (counts.true / counts.true)


def three_dice(counts: Counts) -> dict[str, Floats]:
    """`dice_micro`, `dice_macro` and `dice_per_image` (see above) of each class, (K,), of images (N, K), arrays.

    NaN for a class that no true map has, but for `dice_per_image`.
    """
    return {
        "dice_micro": overlap(_total(counts))["dice"],
        "dice_macro": _mean(overlap(counts)["dice"]),
        "dice_per_image": dice_with_empty(counts).mean(0),
    }


def pooled(counts: Counts) -> dict[str, Floats]:
    """Scores of the pixels of all images (N, K), arrays, together.

    Returns:
        `iou`, `precision`, `recall`, `f1` (K,) of each class, as in `overlap`. F1 (equation 3.9) is the harmonic
        mean of precision and recall: for pixels the same number as the micro Dice.
        `miou` and `miou_foreground`, the mean IoU over classes present in the truth, with and without label 0;
        `fw_iou`, weighted by the pixels each class has in the truth; `pixel_accuracy`: scalars. NaN without pixels.
    """
    total = _total(counts)
    scores = overlap(total)
    scores["f1"] = scores.pop("dice")
    iou = scores["iou"]
    with np.errstate(invalid="ignore"):
        return scores | {
            "miou": _mean(iou),
            "miou_foreground": _mean(iou[1:]),
            "fw_iou": np.nansum(total.true * iou) / total.true.sum(),
            "pixel_accuracy": total.both.sum() / total.true.sum(),
        }


def presence(counts: Counts, min_pixels: int = PRESENT_PX) -> dict[str, Floats]:
    """`sensitivity` and `specificity` of finding each class in an image at all, (K,), of images (N, K), arrays.

    A class is in the truth if it has a pixel, and predicted if it has more than `min_pixels`. Sensitivity is NaN for
    a class in no image, specificity for one in every image.
    """
    there, found = counts.true > 0, counts.pred > min_pixels
    with np.errstate(invalid="ignore"):
        return {
            "sensitivity": (there & found).sum(0) / there.sum(0),
            "specificity": (~there & ~found).sum(0) / (~there).sum(0),
        }


def _total(counts: Counts) -> Counts:
    """Of all images together, (K,), of images (N, K)."""
    return Counts(*(count.sum(0) for count in counts))


def _mean(values: Floats) -> Floats:
    """Over the first axis, of what is not NaN; NaN where all is."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0).sum(0) / known.sum(0)
