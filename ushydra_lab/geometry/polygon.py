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
    (x1, y1), (x2, y2) = points.T, np.roll(points, -1, axis=0).T
    first, last = (np.clip(np.ceil(y - 0.5), 0, rows).astype(int) for y in (np.minimum(y1, y2), np.maximum(y1, y2)))
    crossed = last - first  # rows whose centres an edge passes
    edge = np.repeat(np.arange(len(points)), crossed)
    row = np.arange(len(edge)) + (first - np.cumsum(crossed) + crossed)[edge]
    x = x1[edge] + (row + 0.5 - y1[edge]) * ((x2 - x1)[edge] / (y2 - y1)[edge])
    np.add.at(crossings, (row, np.clip(np.ceil(x - 0.5), 0, columns).astype(int)), 1)
    return np.cumsum(crossings[:, :columns], axis=1, dtype=np.uint8) % 2 == 1
