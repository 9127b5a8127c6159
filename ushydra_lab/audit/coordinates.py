"""Audit of coordinates that may not be px from the upper left corner: percent, mm, or counted from 1."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ushydra_lab.audit.flags import Finding, Flag, by_site
from ushydra_lab.audit.outliers import Floats
from ushydra_lab.data.vocabulary import CROP, Annotation, annotations

FEWEST = 5  # annotated images of a site
PERCENT, SLACK = 100.0, 5.0
LARGE = 2.0  # times as large as 100 px must the images be, for annotations in that corner alone to be odd

METHOD = (
    f"Boxes and points of a site with {FEWEST} of them at least. Percent or mm: all within the first "
    f"{PERCENT:g} x {PERCENT:g} px although both sides of the images have more than {LARGE * PERCENT:g} (median). "
    "Counted from 1: whole numbers, none of them 0, some 1, and some the image's width or height. Fractions of the "
    "image are a problem, not a remark: nothing could be trained on them."
)


def audit(table: pd.DataFrame) -> Finding:
    """Units and origins of coordinates, for each annotation and site."""
    known = [CROP, *annotations(table.columns).values()]
    given = [a for a in known if a.kind in ("box", "points") and set(a.columns) <= set(table)]
    flags = [flag for a in given for site, rows in by_site(table).items() for flag in _of_site(table, a, site, rows)]
    return Finding("coordinates", "Coordinates that may be no px", METHOD, flags)


def _of_site(table: pd.DataFrame, annotation: Annotation, site: str, rows: np.ndarray) -> Iterator[Flag]:
    values = table[[*annotation.columns, "width", "height"]].to_numpy(float)[rows]
    known = np.isfinite(values).all(axis=1)
    if known.sum() < FEWEST:
        return
    points, sizes = values[known, :-2].reshape(known.sum(), -1, 2), values[known, -2:]
    width, height = np.median(sizes, axis=0)
    what = f"site {site}: {annotation.name} of {known.sum()} images"
    chosen = tuple(map(int, rows[known]))
    if points.max() <= PERCENT + SLACK and points.max() > 1 and min(width, height) > LARGE * PERCENT:
        text = f"all within the first {points.max():.0f} px, the images {width:g} x {height:g} px (median)"
        yield Flag(f"{what} lie {text}: are they percent of the image, or mm? Give px", chosen)
    elif _from_one(points, sizes):
        text = "are whole numbers from 1 to the image's width or height, never 0"
        yield Flag(f"{what} {text}: are pixels counted from 1? {_remedy(annotation)}", chosen)


def _from_one(points: Floats, sizes: Floats) -> bool:
    return bool((points % 1 == 0).all() and points.min() == 1 and (points >= sizes[:, None]).any())


def _remedy(annotation: Annotation) -> str:
    """The edges of the first pixel are 0 and 1, its centre is 0.5."""
    if annotation.kind == "points":
        return "Then subtract 0.5"
    return f"Then subtract 1 from {' and '.join(annotation.columns[:2])}"
