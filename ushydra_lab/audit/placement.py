"""Audit of position and size of annotations: a shifted one, or one of another image, is an outlier."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ushydra_lab.audit.flags import Finding, Flag, by_site, positions
from ushydra_lab.audit.outliers import EXPECTED, LEAST, Floats, RobustCovariance
from ushydra_lab.data import checks
from ushydra_lab.data.vocabulary import Annotation, annotations

PLACE, SIZE = 0.02, 0.05  # what annotators differ by: of the image, of the annotation's size

METHOD = (
    "Centre and size (logarithm) of boxes and of all landmarks together, relative to the image, of all images that are "
    "there; in px where none is; within each site. Flagged: a robust Mahalanobis distance (minimum covariance "
    f"determinant; {100 * PLACE:g} % of the image and {100 * SIZE:g} % of the size are always allowed) beyond the "
    f"{EXPECTED}; more where placement has long tails."
)


def audit(table: pd.DataFrame) -> Finding:
    """Boxes and landmarks that lie elsewhere, or are of another size, than the others of their site."""
    flags: list[tuple[float, Flag]] = []
    few: list[str] = []
    scaled = bool(table["width"].notna().any())
    for annotation in annotations(table.columns).values():
        if annotation.kind in ("box", "points") and set(annotation.columns) <= set(table):
            for site, rows in by_site(table).items():
                features = _features(table.iloc[rows], annotation, scaled)
                given = int(np.isfinite(features).all(axis=1).sum())
                if given < LEAST:
                    few += [f"{annotation.name} of {site}: {given} rows, {LEAST} are needed"] * (given > 0)
                else:
                    flags += _outliers(table, annotation, rows, features, scaled)
    flags.sort(key=lambda pair: -pair[0])
    title = "Annotations that lie apart"
    return Finding("placement", title, METHOD, [flag for _, flag in flags], skipped="; ".join(few))


def _features(table: pd.DataFrame, annotation: Annotation, scaled: bool) -> Floats:
    """Centre x and y, then log width and height of a box, log diagonal around points, which turn with the fetus, (N, 4
    or 3); relative to the image or in px. NaN: no annotation, or no size to be relative to.
    """
    points = table[list(annotation.columns)].to_numpy(float).reshape(len(table), -1, 2)
    size = table[["width", "height"]].to_numpy(float)
    low, high = points.min(axis=1), points.max(axis=1)
    centre, extent = (low + high) / 2, np.maximum(high - low, 1)
    if scaled:
        centre, extent = centre / size, extent / size
    if annotation.kind == "points":
        extent = np.hypot(*extent.T)[:, None]
    return np.concatenate([centre, np.log(extent)], axis=1)


def _outliers(
    table: pd.DataFrame, annotation: Annotation, rows: np.ndarray, features: Floats, scaled: bool
) -> Iterator[tuple[float, Flag]]:
    unit = 1.0 if scaled else float(np.nanmax(features[:, :2]))
    spread = RobustCovariance(features, np.array([PLACE * unit, PLACE * unit, SIZE, SIZE])[: features.shape[1]])
    squared = spread.squared(features)
    for i in positions(squared > spread.limit):
        x, y, *sizes = features[i] - spread.centre
        row, distance = int(rows[i]), float(np.sqrt(squared[i]))
        of = "image" if scaled else "largest coordinate"
        moved = f"{100 * x / unit:+.0f} % in x and {100 * y / unit:+.0f} % in y of the {of}"
        sized = " x ".join(f"{np.exp(size):.2f}" for size in sizes)
        what = f"{checks.place(table, row)}: {annotation.name} apart from the others (robust distance {distance:.1f})"
        yield distance, Flag(f"{what}: {moved}, {sized} times the usual size", (row,))
