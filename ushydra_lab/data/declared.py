"""Check of declared image sizes (columns `width` and `height`, px): annotations were made at that size, and on a copy
of another size they lie elsewhere.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.data.inspection import Problem

SAME = 0.005  # of a side: published sizes were rounded, and a copy lacks a line or two at its edge


def differs(size: NDArray[np.float64], declared: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N, 2) and (N, 2) -> (N,); False where one of them is not known."""
    off = np.abs(size - declared) > np.maximum(SAME * declared, 1.0)
    return np.asarray(off.any(axis=1) & np.isfinite(size).all(axis=1) & np.isfinite(declared).all(axis=1))


def problems(size: NDArray[np.float64], declared: NDArray[np.float64]) -> Iterator[Problem]:
    """size, declared: (N, 2) of (width, height), NaN where unknown."""
    for row in np.flatnonzero(differs(size, declared)):
        (width, height), (own_width, own_height) = declared[row], size[row]
        turned = "; it would fit when turned" if (width, height) == (own_height, own_width) else ""
        yield (
            int(row),
            f"is {own_width:g} x {own_height:g} px, but its annotations were made at {width:g} x {height:g} (columns x "
            f"rows){turned}; use the image in that size, or data.resample=declared to bring it back to it",
        )
