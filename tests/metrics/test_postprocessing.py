"""Cleaned label maps are what scikit-image and plain search make of them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label as skimage_label
from skimage.measure import regionprops
from skimage.morphology import closing, disk

from ushydra_lab.metrics.postprocessing import clean

MAPS = arrays(np.uint8, (2, 12, 14), elements=st.sampled_from([0, 0, 0, 1, 1, 2]))


def cleaned(labels: np.ndarray, closing_px: int, components: tuple[int, ...], min_px: int = 0) -> np.ndarray:
    return clean(torch.from_numpy(labels), 1 + len(components), closing_px, components, min_px).numpy()


@settings(deadline=None, max_examples=60)
@given(MAPS, st.integers(0, 3))
def test_closing_is_scikit_images_and_takes_background_alone(labels: np.ndarray, radius: int) -> None:
    found = cleaned(labels, radius, (99, 99))
    for image, result in zip(labels, found, strict=True):
        one, two = (
            closing(np.pad(image == k, 9), disk(radius))[9:-9, 9:-9].astype(bool) if radius else image == k
            for k in (1, 2)
        )
        assert (result[image > 0] == image[image > 0]).all()
        expected = np.where(image > 0, image, np.where(one, 1, np.where(two, 2, 0)))
        np.testing.assert_array_equal(result, expected)


@settings(deadline=None, max_examples=60)
@given(MAPS, st.tuples(st.integers(0, 3), st.integers(0, 3)), st.integers(0, 6))
def test_the_parts_kept_are_the_largest_that_scikit_image_finds(
    labels: np.ndarray, components: tuple[int, int], min_px: int
) -> None:
    found = cleaned(labels, 0, components, min_px)
    for image, result in zip(labels, found, strict=True):
        for k, count in enumerate(components, 1):
            sizes = sorted((r.area for r in regionprops(skimage_label(image == k, connectivity=2))), reverse=True)
            kept = sorted((r.area for r in regionprops(skimage_label(result == k, connectivity=2))), reverse=True)
            assert kept == [size for size in sizes[:count] if size > min_px]
            assert (image[result == k] == k).all()


def test_two_ventricles_stay_and_what_is_too_small_goes() -> None:
    labels = np.zeros((1, 20, 30), np.int64)
    labels[0, 2:5, 2:6] = labels[0, 2:5, 12:15] = labels[0, 10:12, 2:5] = labels[0, 18, 20:25] = 1
    expected = labels.copy()
    expected[0, 10:12, 2:5] = expected[0, 18] = 0
    np.testing.assert_array_equal(clean(torch.from_numpy(labels), 2, 0, [2]).numpy(), expected)
    expected[0, 10:12, 2:5] = 1
    np.testing.assert_array_equal(clean(torch.from_numpy(labels), 2, 0, [9]).numpy(), expected)


def test_a_gap_is_closed_before_parts_are_counted_and_the_border_eats_nothing() -> None:
    labels = torch.zeros(1, 9, 16, dtype=torch.uint8)
    labels[0, :4, :6] = labels[0, :4, 7:16] = 1
    result = clean(labels, 2, 1, [1])
    assert (result[0, :4] == 1).sum() >= 4 * 15 + 2
    assert result.dtype == torch.uint8
    assert (clean(torch.ones(1, 5, 5), 2, 2, [1]) == 1).all()


def test_empty_maps_stay_empty_and_no_image_is_no_error() -> None:
    assert not clean(torch.zeros(2, 8, 8, dtype=torch.long), 3, 2, [1, 1]).any()
    assert clean(torch.zeros(0, 8, 8), 3, 2, [1, 1]).shape == (0, 8, 8)


@pytest.mark.parametrize(("closing_px", "components"), [(1, [1]), (1, [1, 1, 1]), (-1, [1, 1]), (1, [1, -1])])
def test_numbers_that_do_not_fit_are_refused(closing_px: int, components: list[int]) -> None:
    with pytest.raises(ValueError, match="each of the 2 structures"):
        clean(torch.zeros(1, 4, 4), 3, closing_px, components)
