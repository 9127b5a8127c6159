"""Features of every decoded image that the audits keep, some hundred bytes, so that no image is decoded twice."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from ushydra_lab.audit.descriptor import LENGTH, describe
from ushydra_lab.audit.mask_fit import best_shift

SHAPE = ("area", "x", "y", "extent", "pieces")
"""Of a structure: px over all structures' px; centroid within the box around all structures, 0 to 1; root mean square
distance from it, in diagonals of that box; connected components."""


class Features:
    """An observer for `checks.examine`; rows are those of the table, filled in by any thread.

    descriptors (N, LENGTH), zeros where there is no image; brightest (N,): the largest grey value, NaN there. With
    structures, NaN where there is no mask: shapes (N, S, 5), see SHAPE; whole (N, 3): area and centroid of the
    foreground, relative to the image; shift (N, 3), see mask_fit; corners (N,): the label that all four corners of the
    mask have, 0 where they differ.
    """

    def __init__(self, rows: int, structures: tuple[str, ...]) -> None:
        self.structures = structures
        masks = rows if structures else 0
        self.descriptors = np.zeros((rows, LENGTH), np.float16)
        self.brightest = np.full(rows, np.nan, np.float32)
        self.shapes = np.full((masks, len(structures), len(SHAPE)), np.nan, np.float32)
        self.whole = np.full((masks, 3), np.nan, np.float32)
        self.shift = np.full((masks, 3), np.nan, np.float32)
        self.corners = np.zeros(masks, np.uint8)

    def __call__(self, row: int, grey: NDArray[np.uint8], labels: NDArray[np.uint8] | None) -> None:
        self.descriptors[row] = describe(grey)
        self.brightest[row] = grey.max(initial=0)
        if labels is None:
            return
        corners = labels[[0, 0, -1, -1], [0, -1, 0, -1]]
        self.corners[row] = corners[0] if (corners == corners[0]).all() else 0
        inside = labels > 0
        self.whole[row, 0] = inside.mean()
        if inside.any():
            self.whole[row, 1:] = _centroid(inside)
            self.shift[row] = best_shift(grey, inside)
            part = labels[_box(inside)]
            for k in range(len(self.structures)):
                self.shapes[row, k] = _shape(part, k + 1)


def _shape(labels: NDArray[np.uint8], k: int) -> tuple[float, ...]:
    mask = labels == k
    if not mask.any():
        return *[np.nan] * 4, 0
    rows, columns = np.nonzero(mask)
    extent = np.sqrt(rows.var() + columns.var()) / np.hypot(*mask.shape)
    return mask.sum() / np.count_nonzero(labels), *_centroid(mask), extent, label(mask)[1]


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _centroid(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """x, y, of the array's size."""
    columns, rows = mask.sum(axis=0), mask.sum(axis=1)
    x, y = (float(((np.arange(len(n)) + 0.5) * n).sum() / n.sum() / len(n)) for n in (columns, rows))
    return x, y
