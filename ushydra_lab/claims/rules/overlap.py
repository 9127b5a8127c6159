"""Dice against IoU, and distances between surfaces against each other."""

from __future__ import annotations

from collections.abc import Iterator

from ushydra_lab.claims.finding import Finding
from ushydra_lab.claims.results import Results

NEAR = 1e-9
POOLED = "micro"


def iou_of(dice: float) -> float:
    """Of one image."""
    return dice / (2 - dice)


def dice_and_iou(table: Results) -> Iterator[Finding]:
    """IoU = D / (2 - D) of an image is convex in D and at most D, so that means keep D / (2 - D) <= IoU <= D (Jensen).

    The same holds of means over structures, seeds and sites. Pooled over pixels ("micro") the two are equal.
    """
    for dice_column, iou_column in table.pairs("dice", "iou"):
        for row in table.rows:
            dice, iou = row.scores.get(dice_column), row.scores.get(iou_column)
            if dice is None or iou is None or not (0 <= dice.value <= 1):
                continue
            exact = POOLED in dice_column.subject and dice.spread is None
            least, most = iou_of(max(0.0, dice.low)), iou_of(dice.high) if exact else dice.high
            if iou.high < least - NEAR or iou.low > most + NEAR:
                means = "are pooled over the same pixels" if exact else "are means over the same images"
                kept = f"IoU {iou.shown(iou_of(dice.value))}" + ("" if exact else f" to {iou.shown(dice.value)}")
                yield Finding(
                    table.name, row.name, f"{dice_column.title} and {iou_column.title}", "Dice and IoU",
                    f"Dice {dice.text}, IoU {iou.text}", f"Dice and IoU {means}", kept,
                )  # fmt: skip


def distances(table: Results) -> Iterator[Finding]:
    """The 95th percentile of distances and their mean are at most their maximum, and so are means of these."""
    for metric, name in (("hd95", "HD95"), ("assd", "average surface distance")):
        for small, large in table.pairs(metric, "hd", same_unit=True):
            for row in table.rows:
                part, whole = row.scores.get(small), row.scores.get(large)
                if part and whole and part.low > whole.high + NEAR:
                    yield Finding(
                        table.name, row.name, f"{small.title} and {large.title}", f"{name} and Hausdorff distance",
                        f"{name} {part.text}, Hausdorff distance {whole.text}",
                        "both are of the same surfaces, in the same unit", f"{name} at most {whole.text}",
                    )  # fmt: skip
