"""Areas of polygons, ellipses and pictures, held against the image that they lie in."""

from collections.abc import Sequence
from math import hypot, radians

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.data.geometry import OVERHANG
from ushydra_lab.data.importers.form import Area, Size
from ushydra_lab.data.importers.problem import ExportProblem
from ushydra_lab.geometry import polygon
from ushydra_lab.geometry.ellipse import Ellipse

Outline = Sequence[tuple[float, float]]


def of_polygons(label: str, outlines: Sequence[Outline]) -> Area:
    """All pixels that one of them encloses. Raises ExportProblem for one of fewer than three points."""
    if short := [len(outline) for outline in outlines if len(outline) < 3]:
        raise ExportProblem(f"{label!r} is a polygon of {short[0]} points; delete or redraw it")

    def drawn(size: Size) -> NDArray[np.uint8]:
        arrays = [np.array(outline) for outline in outlines]
        beyond = max(np.maximum(-points, points - size[::-1]).max() for points in arrays)
        return _held(label, np.logical_or.reduce([polygon.inside(points, size) for points in arrays]), beyond)

    return Area((label,), drawn)


def of_ellipse(label: str, x: float, y: float, radii: tuple[float, float], degrees: float = 0.0) -> Area:
    """radii: along x and y before it is turned, clockwise as one sees it. Raises ExportProblem: radii not above 0."""
    if min(radii) <= 0:
        raise ExportProblem(f"{label!r} is an ellipse without a radius; delete or redraw it")
    ellipse = Ellipse(x, y, *radii, radians(degrees))
    return Area((label,), lambda size: _held(label, ellipse.inside(size)))


def of_circle(label: str, points: Outline) -> Area:
    """points: the centre, and one on the outline. Raises ExportProblem for others."""
    if len(points) != 2:
        raise ExportProblem(f"{label!r} is a circle of {len(points)} points, not centre and outline")
    (x, y), (outer_x, outer_y) = points
    radius = hypot(outer_x - x, outer_y - y)
    return of_ellipse(label, x, y, (radius, radius))


def of_piece(label: str, piece: NDArray[np.bool_], left: int, top: int) -> Area:
    """A part (h, w) of the image, whose first pixel is in this column and row. Raises ExportProblem: it sticks out."""

    def drawn(size: Size) -> NDArray[np.uint8]:
        height, width = piece.shape
        if left < 0 or top < 0 or top + height > size[0] or left + width > size[1]:
            raise ExportProblem(f"{label!r} is a mask that leaves the image of {size[1]} x {size[0]} px")
        whole = np.zeros(size, np.bool_)
        whole[top : top + height, left : left + width] = piece
        return _held(label, whole)

    return Area((label,), drawn)


def _held(label: str, inside: NDArray[np.bool_], beyond: float = 0.0) -> NDArray[np.uint8]:
    """beyond: px by which the shape leaves the image."""
    size = f"the image of {inside.shape[1]} x {inside.shape[0]} px"
    if beyond > OVERHANG:
        raise ExportProblem(f"{label!r} leaves {size} by {beyond:g} px; correct it")
    if not inside.any():
        raise ExportProblem(f"{label!r} covers no pixel of {size}; delete or redraw it")
    return inside.astype(np.uint8)
