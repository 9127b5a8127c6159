"""Shapes of annotation tools become the pixels that they enclose; a shape without area is refused by its label."""

import numpy as np
import pytest

from ushydra_lab.data.importers.areas import of_circle, of_ellipse, of_piece, of_polygons
from ushydra_lab.data.importers.problem import ExportProblem


@pytest.mark.parametrize("radii", [(0.0, 5.0), (5.0, 0.0), (5.0, -1.0), (0.0, 0.0)])
def test_an_ellipse_has_two_radii_above_0(radii: tuple[float, float]) -> None:
    with pytest.raises(ExportProblem, match="'head' is an ellipse without a radius"):
        of_ellipse("head", 10, 10, radii)


def test_a_circle_is_its_centre_and_a_point_on_it() -> None:
    drawn = of_circle("head", [(10.0, 10.0), (13.0, 14.0)]).drawn((20, 20))
    rows, columns = np.mgrid[:20, :20] + 0.5
    assert np.array_equal(drawn, np.hypot(rows - 10, columns - 10) <= 5)
    for points in ([(1.0, 1.0)], [(1.0, 1.0)] * 3):
        with pytest.raises(ExportProblem, match=f"'head' is a circle of {len(points)} points"):
            of_circle("head", points)


def test_a_polygon_has_three_points() -> None:
    assert of_polygons("head", [[(0.0, 0.0), (4.0, 0.0), (0.0, 4.0)]]).drawn((5, 5)).any()
    with pytest.raises(ExportProblem, match="'head' is a polygon of 2 points"):
        of_polygons("head", [[(0.0, 0.0), (4.0, 0.0), (0.0, 4.0)], [(0.0, 0.0), (4.0, 0.0)]])


def test_a_piece_lies_at_its_first_pixel_and_leaves_the_image_at_no_side() -> None:
    piece = np.array([[True, False, True], [True, True, True]])
    for left, top in ((0, 0), (4, 0), (0, 3), (4, 3)):
        drawn = of_piece("head", piece, left, top).drawn((5, 7))
        assert drawn.sum() == piece.sum()
        assert np.array_equal(drawn[top : top + 2, left : left + 3], piece)
    for left, top in ((-1, 0), (0, -1), (5, 0), (0, 4)):
        with pytest.raises(ExportProblem, match="'head' is a mask that leaves the image of 7 x 5 px"):
            of_piece("head", piece, left, top).drawn((5, 7))
