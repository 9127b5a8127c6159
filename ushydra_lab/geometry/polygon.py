"""Polygons in px -> the pixels inside them."""

import numpy as np
from numpy.typing import NDArray


def inside(points: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(rows, columns): the pixels whose centre lies inside a closed polygon (N, 2) of x, y, by the even-odd rule.

    Drawing functions of picture libraries paint the outline too, and take whole numbers for pixels rather than edges,
    which makes small structures a pixel larger; here the area is the polygon's.
    """
    rows, columns = shape
    crossings = np.zeros((rows, columns + 1), np.uint8)  # whether they are odd is all that counts
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        first, last = (int(np.clip(np.ceil(y - 0.5), 0, rows)) for y in sorted((y1, y2)))
        row = np.arange(first, last)
        x = x1 + (row + 0.5 - y1) * ((x2 - x1) / (y2 - y1 or 1.0))
        np.add.at(crossings, (row, np.clip(np.ceil(x - 0.5), 0, columns).astype(int)), 1)
    return np.cumsum(crossings[:, :columns], axis=1, dtype=np.uint8) % 2 == 1
