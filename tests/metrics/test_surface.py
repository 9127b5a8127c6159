"""Surface distances agree with MONAI and with every pair of outline pixels compared."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from scipy.spatial.distance import cdist

from ushydra_lab.losses.segmentation import IGNORE
from ushydra_lab.metrics.surface import outline_distances, outline_gaps, surface_distances

MASKS = arrays(bool, (2, 7, 9))


def outline(mask: np.ndarray) -> list[tuple[int, int]]:
    padded = np.pad(mask, 1)
    return [
        (r, c)
        for r, c in np.argwhere(mask)
        if not (padded[r, c + 1] and padded[r + 2, c + 1] and padded[r + 1, c] and padded[r + 1, c + 2])
    ]


@settings(deadline=None, max_examples=100)
@given(MASKS)
def test_distances_are_those_of_all_pairs_of_outline_pixels(masks):
    assume(masks.any((1, 2)).all())
    pairs = cdist(*(outline(mask) for mask in masks))
    there, back = pairs.min(1), pairs.min(0)
    assd, hd95 = outline_distances(*outline_gaps(*masks))
    assert assd == pytest.approx(np.concatenate([there, back]).mean())
    assert hd95 == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))


def discs(*circles: tuple[float, float, float]) -> torch.Tensor:
    """Label maps (1, 40, 50): circle k (row, column, radius) has label k."""
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(50), indexing="ij")
    labels = torch.zeros(1, 40, 50, dtype=torch.uint8)
    for k, (row, column, radius) in enumerate(circles, 1):
        labels[0, (rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = k
    return labels


TOLERANCE = torch.tensor([[2.0, torch.nan]])
PRED, TRUE = discs((20, 15, 10), (12, 40, 4)), discs((22, 17, 8), (14, 42, 12))


def test_distances_are_monais():
    found = surface_distances(PRED, TRUE, 3, TOLERANCE)
    hot = [torch.nn.functional.one_hot(labels.long(), 3).movedim(-1, 1) for labels in (PRED, TRUE)]
    assd = compute_average_surface_distance(*hot, symmetric=True)
    hd95 = compute_hausdorff_distance(*hot, percentile=95)
    np.testing.assert_allclose(found["assd"][:, 1:], assd, rtol=1e-6)
    np.testing.assert_allclose(found["hd95"][:, 1:], hd95, rtol=1e-6)


@settings(deadline=None, max_examples=60)
@given(MASKS, st.floats(0, 5))
def test_the_surface_dice_is_monais_a_missed_structure_has_none_and_one_absent_from_the_truth_no_score(
    masks: np.ndarray, tolerance: float
) -> None:
    pred, true = (torch.from_numpy(mask[None].astype(np.uint8)) for mask in masks)
    found = surface_distances(pred, true, 2, torch.tensor([[tolerance, torch.nan]]))["nsd"][0, 1]
    assert found[1].isnan()
    if not masks[1].any():
        assert found[0].isnan()
        return
    hot = [torch.nn.functional.one_hot(labels.long(), 2).movedim(-1, 1) for labels in (pred, true)]
    exact = min(abs(tolerance - d) for d in np.sqrt(np.add.outer(np.arange(8) ** 2, np.arange(8) ** 2)).ravel()) > 1e-4
    if exact or tolerance == 0:
        assert found[0] == pytest.approx(float(compute_surface_dice(*hot, class_thresholds=[tolerance])), abs=1e-6)


def test_a_shift_is_within_a_tolerance_as_large() -> None:
    moved = TRUE.roll(2, dims=2)
    found = surface_distances(moved, TRUE, 3, torch.tensor([[1.9, 2.0]]))["nsd"][0, 1]
    assert found[0] < 1
    assert found[1] == 1


def test_a_shifted_line_is_its_shift_away():
    masks = np.zeros((2, 20, 30), bool)
    masks[0, 4, 5:25] = masks[1, 7, 5:25] = True
    assert outline_distances(*outline_gaps(*masks)) == (3, 3)


def test_one_pixel_structures_are_as_far_apart_as_they_are():
    pred, true = torch.zeros(2, 1, 9, 9, dtype=torch.long).unbind()
    pred[0, 1, 1], true[0, 4, 5] = 1, 1
    found = surface_distances(pred, true, 2, TOLERANCE)
    assert found["assd"][0, 1] == found["hd95"][0, 1] == 5


def test_the_full_image_is_as_far_from_itself_as_nothing_is():
    full = np.ones((8, 9), bool)
    assert outline_distances(*outline_gaps(full, full)) == (0, 0)


def test_a_structure_absent_from_either_map_and_the_background_have_no_distance():
    empty = torch.zeros_like(PRED)
    for pred, true in ((empty, TRUE), (PRED, empty), (empty, empty)):
        found = surface_distances(pred, true, 3, TOLERANCE)
        for name in ("assd", "hd95"):
            assert found[name].shape == (1, 3)
            assert found[name].isnan().all()
    assert surface_distances(PRED, TRUE, 3, TOLERANCE)["assd"].isnan().tolist() == [[True, False, False]]


def test_ignored_pixels_belong_to_no_structure():
    pred, true = PRED.clone(), TRUE.clone()
    true[:, :, 40:] = IGNORE
    found = surface_distances(pred, true, 3, TOLERANCE)
    torch.testing.assert_close(found["assd"][:, 1], surface_distances(PRED, TRUE, 3, TOLERANCE)["assd"][:, 1])
    assert found["assd"][0, 2].isfinite()
    pred[:, :, 40:] = 1
    torch.testing.assert_close(surface_distances(pred, true, 3, TOLERANCE)["hd95"][:, 1], found["hd95"][:, 1])


@settings(deadline=None, max_examples=30)
@given(MASKS)
def test_distances_are_symmetric(masks):
    pred, true = (torch.from_numpy(mask[None].astype(np.uint8)) for mask in masks)
    there, back = surface_distances(pred, true, 2, TOLERANCE), surface_distances(true, pred, 2, TOLERANCE)
    for name in ("assd", "hd95"):
        torch.testing.assert_close(there[name], back[name], equal_nan=True)


def test_unequal_maps_are_named():
    with pytest.raises(ValueError, match=r"\(1, 40, 50\).*\(1, 40, 49\)"):
        surface_distances(PRED, TRUE[..., 1:], 3, TOLERANCE)
