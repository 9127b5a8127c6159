"""The annotations of a manifest's rows on the canvas, as tensors: one entry in ON_CANVAS for every kind."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ushydra_lab.data.cache import CanvasCache, Crop
from ushydra_lab.data.geometry import OVERHANG
from ushydra_lab.data.letterbox import Letterbox
from ushydra_lab.data.masks import MaskCode
from ushydra_lab.data.vocabulary import CROP, Annotation

Values = NDArray[np.float64]

NO_LEVEL = -1  # a category that a row lacks
NO_LABEL = 255  # every pixel of a mask that a row lacks


def crops(table: pd.DataFrame) -> list[Crop | None]:
    """The part of each image that is shown, box (x1, y1, x2, y2) in native px; None for the whole image."""
    boxes = table.reindex(columns=CROP.columns).to_numpy(float).tolist()
    return [None if np.isnan(box[0]) else box for box in boxes]


def labels(cache: CanvasCache, paths: pd.Series, shown: list[Crop | None], code: MaskCode | None) -> Tensor:
    """(N, H, W) uint8 label maps, NO_LABEL all over where a row has no mask file."""
    result = torch.full((len(paths), *cache.canvas), NO_LABEL, dtype=torch.uint8)
    given = np.flatnonzero(paths != "")
    pixels = cache.load(list(paths.iloc[given]), [shown[position] for position in given], code).pixels
    result[given] = torch.from_numpy(pixels)
    return result


def on_canvas(annotation: Annotation, cells: pd.DataFrame, fits: Sequence[Letterbox]) -> Tensor:
    """An annotation of N images through their letterboxes, cells (N, columns); what is lost on the canvas is NaN."""
    if annotation.kind == "category":
        return torch.tensor([annotation.levels.index(word) if word else NO_LEVEL for word in cells.iloc[:, 0]])
    native = cells.to_numpy(float)
    mapped = np.stack([ON_CANVAS[annotation.kind](fit, values) for fit, values in zip(fits, native, strict=True)])
    return torch.tensor(mapped, dtype=torch.float32)


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


def missing(values: Tensor) -> Tensor:
    """(N, ...) of one annotation -> (N,) bool, which rows lack it."""
    flat = values.reshape(len(values), -1)
    if values.is_floating_point():
        return flat.isnan().any(dim=1)
    return (flat == (NO_LABEL if values.dtype == torch.uint8 else NO_LEVEL)).all(dim=1)
