import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ushydra_lab.geometry.letterbox import Letterbox

side = st.integers(1, 1500)
units = st.floats(0, 1, width=32)


@st.composite
def crops(draw: st.DrawFn, native: tuple[int, int]) -> tuple[float, ...] | None:
    """No crop, or a box inside the image, not always on whole pixels."""
    (x1, x2), (y1, y2) = (sorted((draw(units) * n, draw(units) * n)) for n in native[::-1])
    return (x1, y1, x2, y2) if draw(st.booleans()) and x2 > x1 and y2 > y1 else None


letterboxes = st.tuples(side, side).flatmap(
    lambda native: st.builds(Letterbox.fit, st.just(native), st.tuples(side, side), crops(native))
)


def test_paper_canvas_by_hand() -> None:
    letterbox = Letterbox.fit((540, 800), (872, 1280))
    assert letterbox.size == (864, 1280)  # s = min(1280 / 800, 872 / 540) = 1.6
    assert letterbox.content == (0, 4, 1280, 868)
    np.testing.assert_allclose(letterbox.apply_box([100, 50, 200, 80]), [160, 84, 320, 132])
    assert letterbox.pixel_mm(0.16) == pytest.approx(0.1)


@given(letterboxes)
def test_content_is_the_largest_centred_fit_with_the_same_aspect(letterbox: Letterbox) -> None:
    (rows, columns), (canvas_rows, canvas_columns) = letterbox.size, letterbox.canvas
    assert rows <= canvas_rows
    assert columns <= canvas_columns
    assert rows == canvas_rows or columns == canvas_columns
    scale = min(canvas_rows / letterbox.used[0], canvas_columns / letterbox.used[1])
    assert abs(rows - scale * letterbox.used[0]) <= 0.5 or rows == 1
    assert abs(columns - scale * letterbox.used[1]) <= 0.5 or columns == 1
    x1, y1, x2, y2 = letterbox.content
    assert abs(x1 - (canvas_columns - x2)) <= 1
    assert abs(y1 - (canvas_rows - y2)) <= 1


@given(letterboxes, st.tuples(units, units))
def test_points_come_back_within_half_a_pixel(letterbox: Letterbox, unit: tuple[float, float]) -> None:
    point = np.array(letterbox.start[::-1]) + np.array(unit) * letterbox.used[::-1]
    assert np.abs(letterbox.invert_points(letterbox.apply_points(point)) - point).max() < 0.5
    x1, y1, x2, y2 = letterbox.content
    x, y = letterbox.apply_points(point)
    assert x1 - 1e-6 <= x <= x2 + 1e-6
    assert y1 - 1e-6 <= y <= y2 + 1e-6


@settings(max_examples=25, deadline=None)
@given(letterboxes, st.integers(0, 9999))
def test_a_native_pixel_has_the_label_of_the_canvas_pixel_that_its_centre_lies_in(
    letterbox: Letterbox, seed: int
) -> None:
    labels = np.random.default_rng(seed).integers(0, 4, letterbox.canvas, np.uint8)
    native = letterbox.invert_labels(labels)
    assert native.shape == letterbox.native
    rows, columns = (np.arange(first, first + n) for first, n in zip(letterbox.start, letterbox.used, strict=True))
    centres = np.stack(np.meshgrid(columns + 0.5, rows + 0.5), -1)
    x, y = np.moveaxis(letterbox.apply_points(centres), -1, 0)
    ties = np.minimum(np.abs(x - np.rint(x)), np.abs(y - np.rint(y))) < 1e-6
    expected = labels[np.floor(y).astype(int), np.floor(x).astype(int)]
    shown = native[np.ix_(rows, columns)]
    assert (shown == expected)[~ties].all()
    assert native.sum() == shown.sum(), "nothing outside the crop"


@given(letterboxes, st.tuples(units, units, units, units))
def test_boxes_come_back_within_half_a_pixel_unless_nothing_of_them_is_left(
    letterbox: Letterbox, unit: tuple[float, ...]
) -> None:
    (top, left), (height, width) = letterbox.start, letterbox.used
    (x1, x2), (y1, y2) = sorted(left + np.array(unit[:2]) * width), sorted(top + np.array(unit[2:]) * height)
    mapped = letterbox.apply_box([x1, y1, x2, y2])
    size = np.array([x2 - x1, y2 - y1]) * letterbox.scale[::-1]
    if np.isnan(mapped).any():
        assert np.isnan(mapped).all()
        assert size.min() < 1 + 1e-6
    else:
        assert np.abs(letterbox.invert_box(mapped) - [x1, y1, x2, y2]).max() < 0.5


def test_a_crop_is_grown_to_whole_pixels_and_shown_alone() -> None:
    image = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30).astype(np.uint8)
    letterbox = Letterbox.fit((20, 30), (8, 12), (4.5, 2.0, 15.2, 9.9))
    np.testing.assert_array_equal(letterbox.apply_image(image), image[2:10, 4:16])
    np.testing.assert_allclose(letterbox.apply_points([4, 2]), [0, 0])
    np.testing.assert_allclose(letterbox.apply_box([0, 0, 10, 30]), [0, 0, 6, 8])
    assert np.isnan(letterbox.apply_box([20, 0, 25, 20])).all()


def test_a_crop_shows_nothing_outside_the_image() -> None:
    whole = Letterbox.fit((30, 40), (60, 60))
    assert Letterbox.fit((30, 40), (60, 60), [-5, -3, 47, 31]) == Letterbox.fit((30, 40), (60, 60), [0, 0, 40, 30])
    assert Letterbox.fit((30, 40), (60, 60), [-5, -3, 47, 31]).content == whole.content
    left = Letterbox.fit((30, 40), (60, 60), [-5, 10, 20, 99])
    assert left == Letterbox.fit((30, 40), (60, 60), [0, 10, 20, 30])


def test_boxes_are_clipped_to_the_canvas_and_lost_ones_are_nan() -> None:
    letterbox = Letterbox.fit((100, 100), (50, 50))
    boxes = [[-10, -10, 20, 20], [90, 90, 120, 130], [-30, 0, -5, 50], [10, 10, 11, 60], [60, 60, 20, 20]]
    mapped = letterbox.apply_box(boxes)
    np.testing.assert_allclose(mapped[:2], [[0, 0, 10, 10], [45, 45, 50, 50]])
    assert np.isnan(mapped[2:]).all()
    assert np.isnan(letterbox.apply_box([np.nan] * 4)).all()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.tuples(st.integers(60, 300), st.integers(60, 300)),
    st.tuples(st.integers(60, 300), st.integers(60, 300)),
    st.tuples(st.floats(0.3, 0.7), st.floats(0.3, 0.7)),
    st.booleans(),
)
def test_a_bright_blob_moves_where_its_coordinates_say(
    native: tuple[int, int], canvas: tuple[int, int], unit: tuple[float, float], cropped: bool
) -> None:
    letterbox = Letterbox.fit(native, canvas, (3.2, 1.7, native[1] - 0.4, native[0] - 2.3) if cropped else None)
    x, y = unit[0] * native[1], unit[1] * native[0]
    rows, columns = np.mgrid[: native[0], : native[1]] + 0.5
    blob = 255 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 4.0**2))
    image = letterbox.apply_image(np.rint(blob).astype(np.uint8))
    expected = letterbox.apply_points([x, y])
    row, column = ndimage.center_of_mass(image.astype(float))
    assert np.hypot(column + 0.5 - expected[0], row + 0.5 - expected[1]) < 0.1 + 0.05 * max(letterbox.scale)
    disc = ((rows - y) ** 2 + (columns - x) ** 2 < 14**2).astype(np.uint8)
    row, column = ndimage.center_of_mass(letterbox.apply_image(disc, nearest=True))
    assert np.hypot(column + 0.5 - expected[0], row + 0.5 - expected[1]) < 0.5 * max(1, *letterbox.scale)


def test_padding_is_zero_and_content_keeps_its_values() -> None:
    canvas = Letterbox.fit((20, 60), (64, 60)).apply_image(np.full((20, 60), 200, np.uint8))
    assert canvas.shape == (64, 60)
    assert (canvas[22:42] == 200).all()
    assert canvas.sum() == 200 * 20 * 60


def test_shrinking_is_antialiased_and_masks_keep_their_labels() -> None:
    stripes = np.tile(np.array([0, 3], np.uint8) * 80, (64, 32))
    letterbox = Letterbox.fit((64, 64), (16, 16))
    assert np.ptp(letterbox.apply_image(stripes)[2:-2, 2:-2]) < 30
    assert set(np.unique(letterbox.apply_image(stripes, nearest=True))) <= {0, 240}


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="given to a letterbox"):
        Letterbox.fit((20, 30), (16, 16)).apply_image(np.zeros((30, 20), np.uint8))
    with pytest.raises(ValueError, match="at least 1 x 1"):
        Letterbox.fit((0, 30), (16, 16))
