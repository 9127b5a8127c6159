"""A note where PSNR or MS-SSIM with and without letterbox padding favour different methods."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ushydra_lab.report.document import Document, Note
from ushydra_lab.results.crossed import effect
from ushydra_lab.tasks.columns import Metric

FULL_CANVAS = {
    "psnr": Metric("PSNR, full canvas (dB)", "higher", 2, "difference"),
    "ms_ssim": Metric("MS-SSIM, full canvas", "higher", 4, "difference", most=1),
}
"""Metrics of the full canvas, as in the paper; the declared NAME_content are without padding."""
NAMES = {"psnr": ("PSNR", " dB"), "ms_ssim": ("MS-SSIM", "")}
REGION = (
    "Full canvas: with the letterbox padding, as in the paper; the tables above are without it. MS-SSIM, the loss of "
    "the whole image, gives the outermost 5 px under 2 % of the others' weight, so a network may paint tissue into "
    "padding as narrow as that; PSNR of the full canvas counts it. ROI: the NT box. ROI Edge-MAE: edges over the "
    "original's 99th percentile in the box; the paper does not print its norm."
)
Pair = tuple[str, pd.DataFrame, pd.DataFrame]
"""A comparison: its name, the images of the first method and those of the second."""


def disagreements(pairs: Iterable[Pair]) -> Document:
    """A note that names every gain whose sign differs between the two regions; empty without one."""
    found = [text for pair in pairs for column in FULL_CANVAS for text in _opposite(*pair, column)]
    told = f"A gain's sign depends on the region, without padding and on the full canvas: {'; '.join(found)}."
    return [Note(told)] if found else []


def _opposite(name: str, first: pd.DataFrame, second: pd.DataFrame, column: str) -> list[str]:
    content = f"{column}_content"
    if first.empty or second.empty or not {column, content} <= set(first) & set(second):
        return []
    without, full = (effect(first, second, region).change for region in (content, column))
    label, unit = NAMES[column]
    digits = FULL_CANVAS[column].digits
    if np.isnan([without, full]).any() or round(without, digits) * round(full, digits) >= 0:
        return []
    return [f"{name}, {label} {without:+.{digits}f} and {full:+.{digits}f}{unit}"]
