"""Search for similar image descriptors in hundreds of thousands, without comparing all pairs."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.audit.descriptor import COARSE, COMPARED, MIRROR, Floats, unit

ALIKE = 0.7  # correlation of what two images do not have in common with all; a crop of 2 % keeps 0.78
CELL = 300  # images a cell holds on average: time grows as images x CELL x PROBES
PROBES = 4  # cells that an image is looked for in
CROWDED = 4096  # images of a cell that are compared at once; with more it is taken in pieces
MOST = 16  # pairs an image has with one cell
SHRINK = 20  # images' worth of zero in the mean, so that a few images are not compared by what they differ in
BLOCK, SAMPLE = 2048, 20_000

Rows = NDArray[np.intp]
Pairs = NDArray[np.intp]


def similar_pairs(descriptors: NDArray[np.float16], subject: Rows, mirrored: bool) -> Iterator[Pairs]:
    """Pairs (M, 2), first < second, of different subjects and a correlation of ALIKE after the mean is taken off.

    Every image falls into the cell of the nearest of some of the images themselves, and is compared with all images in
    its PROBES nearest cells (an inverted file: Sivic & Zisserman 2003; Jegou et al. 2011). Pairs may repeat.
    """
    shown = np.flatnonzero(descriptors.any(axis=1)) if len(descriptors) else np.empty(0, np.intp)
    if len(shown) < 2:
        return
    view = _View(descriptors, shown)
    cells = np.random.default_rng(0).permutation(shown)[: max(1, len(shown) // CELL)]
    centres = view(cells, COARSE)
    home = _nearest(view, shown, centres, 1, False)[:, 0]
    probed = _nearest(view, shown, centres, min(PROBES, len(cells)), mirrored)
    order, starts = _grouped(home, len(cells))
    askers, asked_from = _grouped(probed.ravel(), len(cells))
    for cell in range(len(cells)):
        members = shown[order[starts[cell] : starts[cell + 1]]]
        queries = shown[askers[asked_from[cell] : asked_from[cell + 1]] // probed.shape[1]]
        for piece in range(0, len(members), CROWDED):
            yield from _compare(view, queries, members[piece : piece + CROWDED], subject, mirrored)


class _View:
    """Descriptors without what all images have in common, of length 1."""

    def __init__(self, descriptors: NDArray[np.float16], shown: Rows) -> None:
        self.descriptors = descriptors
        sample = np.random.default_rng(1).permutation(shown)[:SAMPLE]
        self.mean: Floats = descriptors[sample].sum(axis=0, dtype=np.float32) / (len(sample) + SHRINK)

    def __call__(self, rows: Rows, kept: NDArray[np.bool_], mirrored: bool = False) -> Floats:
        sign = MIRROR if mirrored else np.float32(1)
        return unit((self.descriptors[rows].astype(np.float32) * sign - self.mean)[:, kept])


def _nearest(view: _View, rows: Rows, centres: Floats, count: int, mirrored: bool) -> Rows:
    """The indices (N, count) of the nearest centres."""
    found = []
    for start in range(0, len(rows), BLOCK):
        likeness = view(rows[start : start + BLOCK], COARSE, mirrored) @ centres.T
        found.append(np.argpartition(-likeness, count - 1, axis=1)[:, :count].copy())
    return np.concatenate(found)


def _grouped(cell: Rows, cells: int) -> tuple[Rows, Rows]:
    """Positions ordered by cell, and where each cell starts in them."""
    order = np.argsort(cell, kind="stable")
    return order, np.searchsorted(cell[order], np.arange(cells + 1))


def _compare(view: _View, queries: Rows, members: Rows, subject: Rows, mirrored: bool) -> Iterator[Pairs]:
    known = view(members, COMPARED)
    for start in range(0, len(queries), BLOCK):
        asking = queries[start : start + BLOCK]
        alike = view(asking, COMPARED, mirrored) @ known.T >= ALIKE
        alike &= subject[asking][:, None] != subject[members]
        crowded = alike.sum(axis=1) > MOST
        alike[crowded] &= alike[crowded].cumsum(axis=1) <= MOST
        query, member = np.nonzero(alike)
        yield np.sort(np.stack([asking[query], members[member]], axis=1), axis=1)
