"""The pixels inside a polygon, beside scikit-image's, whose coordinates are pixel centres."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import polygon2mask

from ushydra_lab.geometry import polygon

SHAPE = (17, 23)


def coordinates(high: int) -> st.SearchStrategy[float]:
    """No centre of a pixel lies on an outline of such corners: there the two rules may differ."""
    return st.floats(-6, high + 6).map(lambda value: round(value * 7) / 7 + 0.0123)


POLYGONS = st.lists(st.tuples(coordinates(SHAPE[1]), coordinates(SHAPE[0])), min_size=3, max_size=9)


@settings(deadline=None)
@given(POLYGONS)
def test_it_is_scikit_image_s_polygon_also_where_it_crosses_itself_or_leaves_the_image(
    points: list[tuple[float, float]],
) -> None:
    corners = np.array(points)
    theirs = polygon2mask(SHAPE, corners[:, ::-1] - 0.5)
    differ = polygon.inside(corners, SHAPE) != theirs
    assert not (differ & ~near_outline(corners)).any()


def near_outline(corners: np.ndarray) -> np.ndarray:
    """Pixels whose centre is nearer to an edge than rounding errors are."""
    down, across = np.indices(SHAPE) + 0.5
    near = np.zeros(SHAPE, bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        along = np.array([x2 - x1, y2 - y1])
        share = np.clip(((across - x1) * along[0] + (down - y1) * along[1]) / max(along @ along, 1e-12), 0, 1)
        near |= np.hypot(across - x1 - share * along[0], down - y1 - share * along[1]) < 1e-6
    return near


def test_whole_numbers_are_edges_of_pixels() -> None:
    drawn = polygon.inside(np.array([[3.0, 2.0], [9.0, 2.0], [9.0, 7.0], [3.0, 7.0]]), SHAPE)
    expected = np.zeros(SHAPE, bool)
    expected[2:7, 3:9] = True
    np.testing.assert_array_equal(drawn, expected)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=6))
def test_polygons_that_share_an_edge_share_no_pixel(points: list[tuple[float, float]]) -> None:
    """A fan around the first corner: by the even-odd rule it has the pixels of the polygon, each once."""
    corners = np.array(points) * SHAPE[::-1]
    parts = [polygon.inside(corners[[0, k, k + 1]], SHAPE) for k in range(1, len(corners) - 1)]
    np.testing.assert_array_equal(np.logical_xor.reduce(parts), polygon.inside(corners, SHAPE))
