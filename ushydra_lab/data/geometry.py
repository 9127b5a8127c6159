"""Checks of boxes and points in a manifest; each problem has its row, the fault and the remedy."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd

from ushydra_lab.data.inspection import Problem
from ushydra_lab.data.vocabulary import ANNOTATIONS, CROP, Annotation, annotations

OVERHANG = 1.0  # px an annotation may stick out: tools disagree whether the last pixel's index or its edge is meant
COLLAPSED = 1.0  # px between two end points that are one
FRACTION = 0.1  # by which a fraction of the image may lie outside it
FEWEST_PX = 8  # of an image's side; below, its annotations may lie in one pixel
IN_PX = "multiply x by the image's width and y by its height"
SWAPPED = 0.5  # more rows than this with a BPD longer than the OFD: the columns are swapped


def boxes(table: pd.DataFrame) -> Iterator[Problem]:
    """Boxes that are incomplete, inverted or outside their image."""
    known = [CROP, *annotations(table.columns).values()]
    for annotation in (a for a in known if a.kind == "box" and set(a.columns) <= set(table)):
        values = table[[*annotation.columns, "height", "width"]].to_numpy(float)
        for position in np.flatnonzero(~np.isnan(values[:, :4]).all(axis=1)):
            if text := _box_problem(values[position, :4], values[position, 4:], annotation):
                yield int(position), text


def _box_problem(box: np.ndarray, size: np.ndarray, annotation: Annotation) -> str:
    given = dict(zip(annotation.columns, box, strict=True))
    shown = ", ".join(f"{column}={value:g}" for column, value in given.items())
    if np.isnan(box).any():
        return f"{annotation.name} is incomplete ({shown}); give all four edges or none"
    if _are_fractions(box, size):
        centred = "" if (box[2:] > box[:2]).all() else ", here of its centre and size as YOLO writes them"
        return f"{annotation.name} looks like fractions of the image{centred}, not px ({shown}); {IN_PX}"
    if not (box[2:] > box[:2]).all():
        sized = not np.isnan(size).any() and (box >= 0).all() and (box[:2] + box[2:] <= size[::-1] + OVERHANG).all()
        hint = "; are the last two a width and a height? Then add x1 and y1 to them" if sized else ""
        return f"{annotation.name} is inverted or empty ({shown}); x2 > x1 and y2 > y1 are needed{hint}"
    if np.isnan(size).any():
        return ""
    if not (beyond := _beyond(given, box, size)):
        touches = (np.minimum(box[2:], size[::-1]) <= np.maximum(box[:2], 0)).any()
        return f"{annotation.name} lies outside the image ({shown}); correct the box or the image" * bool(touches)
    swapped = box[[1, 0, 3, 2]]
    hint = "; it fits with x and y swapped: were rows and columns mixed up?"
    fits = not _beyond(given, swapped, size)
    return f"{annotation.name} leaves the image: {beyond}{hint if fits else '; correct the box or the image'}"


def _are_fractions(coordinates: np.ndarray, size: np.ndarray) -> bool:
    """Whether all lie in the first pixel of an image that has many."""
    return bool((np.abs(coordinates - 0.5) < 0.5 + FRACTION).all() and not size.min() < FEWEST_PX)


def _beyond(given: dict[str, float], corners: np.ndarray, size: np.ndarray) -> str:
    """Which coordinates (x, y, x, y, ...) leave the image of `size` (rows, columns), and by how many px."""
    limits = np.resize(size[::-1], len(corners))
    excess = np.maximum(-corners, corners - limits)
    over = [f"{column} by {px:g} px" for column, px in zip(given, excess, strict=True) if px > OVERHANG]
    return f"{', '.join(over)} (image {size[1]:g} x {size[0]:g})" if over else ""


def points(table: pd.DataFrame) -> Iterator[Problem]:
    """End points that are incomplete, outside their image or collapsed to a point; diameters that are swapped."""
    known = annotations(table.columns).values()
    for annotation in (a for a in known if a.kind == "points" and set(a.columns) <= set(table)):
        values = table[[*annotation.columns, "height", "width"]].to_numpy(float)
        for position in np.flatnonzero(~np.isnan(values[:, :-2]).all(axis=1)):
            if text := _points_problem(values[position, :-2], values[position, -2:], annotation):
                yield int(position), text
    yield from _swapped_diameters(table)


def _points_problem(flat: np.ndarray, size: np.ndarray, annotation: Annotation) -> str:
    given = dict(zip(annotation.columns, flat, strict=True))
    if missing := [column for column, value in given.items() if np.isnan(value)]:
        return f"{annotation.name} is incomplete (no {', '.join(missing)}); give all {len(flat) // 2} points or none"
    if _are_fractions(flat, size):
        shown = ", ".join(f"{column}={value:g}" for column, value in given.items())
        return f"{annotation.name} look like fractions of the image, not px ({shown}); {IN_PX}"
    ends = [*pairwise(annotation.columns[::2])][::2]
    lengths = np.hypot(*(flat.reshape(-1, 2, 2)[:, 1] - flat.reshape(-1, 2, 2)[:, 0]).T)
    if short := [f"{a[:-2]} and {b[:-2]}" for (a, b), px in zip(ends, lengths, strict=True) if px < COLLAPSED]:
        return f"{annotation.name}: {' and '.join(short)} are one point; mark the two ends of the diameter"
    if not np.isnan(size).any() and (beyond := _beyond(given, flat, size)):
        swapped = flat.reshape(-1, 2)[:, ::-1].ravel()
        hint = "; they fit with x and y swapped: were rows and columns mixed up?"
        fits = not _beyond(given, swapped, size)
        return f"{annotation.name} leave the image: {beyond}{hint if fits else '; correct the points or the image'}"
    return ""


def diameters(table: pd.DataFrame) -> np.ndarray:
    """OFD and BPD of every row, (N, 2) px; NaN where there is none."""
    ends = table[list(ANNOTATIONS["landmarks"].columns)].to_numpy(float).reshape(-1, 2, 2, 2)
    lengths: np.ndarray = np.hypot(*np.moveaxis(ends[:, :, 1] - ends[:, :, 0], -1, 0))
    return lengths


def _swapped_diameters(table: pd.DataFrame) -> Iterator[Problem]:
    if not set(ANNOTATIONS["landmarks"].columns) <= set(table):
        return
    ofd, bpd = diameters(table).T
    given = int((~np.isnan(ofd - bpd)).sum())
    longer = int((bpd > ofd).sum())
    if longer > SWAPPED * given:
        yield (
            -1,
            f"BPD is longer than OFD in {longer} of {given} rows: the columns of OFD and BPD are swapped; rename them, "
            "or set data.swap_columns=true where the reader has it",
        )
