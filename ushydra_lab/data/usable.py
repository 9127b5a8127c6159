"""Mapping annotations to the canvas, and finding rows whose annotation the crop or the canvas cuts off.

ON_CANVAS has one entry for every kind of numbers. What is usable is decided here, for the check and for training alike.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ushydra_lab.data.geometry import OVERHANG
from ushydra_lab.data.vocabulary import CROP, Annotation, filled
from ushydra_lab.geometry.letterbox import Letterbox

Values = NDArray[np.float64]
Crop = Sequence[float]


def crops(table: pd.DataFrame) -> list[Crop | None]:
    """The part of each image that is shown, box (x1, y1, x2, y2) in native px; None for the whole image."""
    boxes = table.reindex(columns=CROP.columns).to_numpy(float).tolist()
    return [None if np.isnan(box[0]) else box for box in boxes]


def usable(table: pd.DataFrame, annotation: Annotation, canvas: tuple[int, int]) -> pd.Series:
    """Whether each row of a checked table has the annotation and keeps it on the canvas: a box of less than 1 px there,
    or a point that the crop cuts off, is lost.
    """
    kept = filled(table, annotation)
    if annotation.kind not in ON_CANVAS:
        return kept
    rows = table[kept & table[["height", "width"]].notna().all(axis=1)]
    sizes = rows[["height", "width"]].to_numpy(int)
    fits = [Letterbox.fit((int(h), int(w)), canvas, crop) for (h, w), crop in zip(sizes, crops(rows), strict=True)]
    lost = [np.isnan(value).any() for value in on_canvas(annotation, rows[list(annotation.columns)], fits)]
    kept[rows.index[np.array(lost, bool)]] = False
    return kept


def on_canvas(annotation: Annotation, cells: pd.DataFrame, fits: Sequence[Letterbox]) -> list[Values]:
    """An annotation of N images through their letterboxes, cells (N, columns); what is lost on the canvas is NaN."""
    native = cells.to_numpy(float)
    return [ON_CANVAS[annotation.kind](fit, values) for fit, values in zip(fits, native, strict=True)]


def _points_on_canvas(fit: Letterbox, flat: Values) -> Values:
    """All points of an annotation, or none where a crop cuts one off."""
    points = fit.apply_points(flat.reshape(-1, 2))
    beyond = np.abs(points - np.clip(points, fit.content[:2], fit.content[2:]))
    kept = (beyond <= OVERHANG * max(fit.scale)).all()
    return points if kept else np.full_like(points, np.nan)


ON_CANVAS: dict[str, Callable[[Letterbox, Values], Values]] = {
    "box": lambda fit, edges: fit.apply_box(edges),
    "points": _points_on_canvas,
    "number": lambda _, number: number[0],
    "spacing": lambda fit, spacing: fit.pixel_mm(spacing[0]),
}
