"""Pictures of DICOM and video frames with what a table of annotations says of them, its coordinates moved along."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ushydra_lab.data.geometry import OVERHANG
from ushydra_lab.data.readers.annotation_table import AnnotationTable
from ushydra_lab.errors import UserError
from ushydra_lab.geometry.letterbox import Letterbox

PIXEL = "pixel_mm"


@dataclass(frozen=True)
class Picture:
    """What became of a frame. line: of its annotations; place: the part that was cut out, and its size now; None: it is
    the frame as it was.
    """

    line: int
    place: Letterbox | None = None


def joined(table: pd.DataFrame, annotations: AnnotationTable, pictures: Sequence[Picture]) -> pd.DataFrame:
    """A reader's table, one row per picture, with the words and numbers of each picture's line in the place of its own.

    Coordinates become px of the picture; a spacing (mm per px of the picture) that is not given stays the file's. Of
    several parts of one frame the one that holds the line's coordinates is kept. Raises UserError: none, or several.
    """
    names = annotations.described
    rows = annotations.rows.loc[[picture.line for picture in pictures], names].reset_index(drop=True)
    axes = annotations.axes
    points = np.stack([rows[axis].apply(pd.to_numeric, errors="coerce").to_numpy(float) for axis in axes], axis=2)
    kept = _kept(annotations, pictures, points)
    moved = np.array(
        [
            own if each.place is None else each.place.apply_points(own)
            for each, own in zip(pictures, points, strict=True)
        ]
    )
    for axis, columns in enumerate(axes):
        numbers = pd.DataFrame(moved[..., axis], rows.index, columns)
        rows[columns] = numbers.astype(object).where(numbers.notna(), rows[columns])
    if PIXEL in rows and PIXEL in table:
        rows[PIXEL] = rows[PIXEL].where(rows[PIXEL].str.strip() != "", table[PIXEL].to_numpy())
    lines = pd.Index([picture.line for picture in pictures], name="line")
    return table.assign(**{name: rows[name].to_numpy() for name in names}).set_index(lines)[kept]


def _kept(annotations: AnnotationTable, pictures: Sequence[Picture], points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a picture holds its line's coordinates (pictures, n, 2), NaN where none are given; of one frame then."""
    holds = np.array([_holds(each.place, own) for each, own in zip(pictures, points, strict=True)], bool)
    given = ~np.isnan(points).all(axis=(1, 2))
    parts: dict[int, list[int]] = {}
    for position in np.flatnonzero(given).tolist():
        parts.setdefault(pictures[position].line, []).append(position)
    problems = [
        f"line {line}: {holds[own].sum() or 'none'} of the {len(own)} scanned regions of its frame holds all its "
        "coordinates, which are px of the whole frame"
        for line, own in parts.items()
        if holds[own].sum() != 1
    ]
    if problems:
        raise UserError.listing(f"{annotations.path}: coordinates that fit no image", problems)
    return holds | ~given


def _holds(place: Letterbox | None, points: NDArray[np.float64]) -> bool:
    if place is None:
        return True  # the check tells what is outside an image
    first = np.array(place.start[::-1])
    beyond = (points < first - OVERHANG) | (points > first + place.used[::-1] + OVERHANG)
    return not beyond.any()
