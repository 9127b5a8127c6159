"""Annotations of a manifest's rows on the canvas, as tensors of a batch."""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ushydra_lab.data import usable
from ushydra_lab.data.io.masks import NO_LABEL
from ushydra_lab.data.vocabulary import Annotation
from ushydra_lab.geometry.letterbox import Letterbox

NO_LEVEL = -1  # a category that a row lacks
CHUNK_BYTES = 2**26


def chunks(values: Tensor, rows: NDArray[np.int64]) -> Iterator[Tensor]:
    """values (N, ...) at these rows, in order, so many at a time that 64 MB hold them; at least one."""
    count = max(1, CHUNK_BYTES // (values[:1].nbytes or 1))
    for start in range(0, len(rows), count):
        yield values[rows[start : start + count]]


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


def hash_given(total: "hashlib._Hash", name: str, values: Tensor, rows: NDArray[np.int64]) -> None:
    """Add an annotation, name and values (N, ...), of these rows to a sha256.

    Nothing where all of them lack it: whether there are values at all is then up to other rows.
    """
    if all(missing(some).all() for some in chunks(values, rows)):
        return
    total.update(name.encode())
    for some in chunks(values, rows):
        total.update(some.numpy().data)
