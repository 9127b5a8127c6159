"""Annotations of a manifest's rows on the canvas, as tensors of a batch."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ushydra_lab.data import usable
from ushydra_lab.data.io.cache import CanvasCache, Crop
from ushydra_lab.data.io.mask_codes import AnyCode
from ushydra_lab.data.vocabulary import Annotation
from ushydra_lab.geometry.letterbox import Letterbox

NO_LEVEL = -1  # a category that a row lacks
NO_LABEL = 255  # every pixel of a mask that a row lacks


def labels(cache: CanvasCache, paths: pd.Series, shown: list[Crop | None], code: AnyCode | None) -> Tensor:
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
    return torch.tensor(np.stack(usable.on_canvas(annotation, cells, fits)), dtype=torch.float32)


def missing(values: Tensor) -> Tensor:
    """(N, ...) of one annotation -> (N,) bool, which rows lack it."""
    flat = values.reshape(len(values), -1)
    if values.is_floating_point():
        return flat.isnan().any(dim=1)
    return (flat == (NO_LABEL if values.dtype == torch.uint8 else NO_LEVEL)).all(dim=1)
