"""What the audits keep of an image and its mask, by hand."""

import numpy as np
import pytest

from ushydra_lab.audit.features import SHAPE, Features


def seen(labels: np.ndarray, *structures: str) -> Features:
    features = Features(1, structures)
    features(0, np.zeros(labels.shape, np.uint8), labels.astype(np.uint8))
    return features


def test_shapes_are_relative_to_the_box_around_all_structures() -> None:
    labels = np.zeros((20, 30))
    labels[4:8, 10:20] = 1
    labels[4:8, 18:20] = 2
    first, second = (dict(zip(SHAPE, row, strict=True)) for row in seen(labels, "a", "b").shapes[0])
    assert (first["area"], second["area"]) == (pytest.approx(0.8), pytest.approx(0.2))
    assert (first["x"], first["y"], second["x"], second["y"]) == pytest.approx((0.4, 0.5, 0.9, 0.5))
    rows, columns = np.nonzero(labels == 2)
    assert second["extent"] == pytest.approx(np.hypot(rows.std(), columns.std()) / np.hypot(4, 10))
    assert (first["pieces"], second["pieces"]) == (1, 1)


def test_a_structure_may_be_in_pieces_or_absent_and_an_image_without_mask_has_nothing() -> None:
    labels = np.zeros((20, 30))
    labels[2:4, 2:4] = labels[10:12, 20:22] = 1
    features = seen(labels, "a", "b")
    assert features.shapes[0, 0, -1] == 2
    assert np.isnan(features.shapes[0, 1, :4]).all()
    assert features.shapes[0, 1, -1] == 0
    assert features.whole[0] == pytest.approx([8 / 600, 12 / 30, 7 / 20])
    assert np.isnan(seen(np.zeros((20, 30)), "a").shapes).all()
    unlabelled = Features(1, ("a",))
    unlabelled(0, np.full((20, 30), 7, np.uint8), None)
    assert np.isnan(unlabelled.whole).all()
    assert unlabelled.brightest.tolist() == [7]


@pytest.mark.parametrize(("corners", "label"), [((3, 3, 3, 3), 3), ((3, 3, 3, 0), 0), ((0, 3, 3, 3), 0), ((0,) * 4, 0)])
def test_a_label_in_all_four_corners_is_kept(corners: tuple[int, ...], label: int) -> None:
    labels = np.zeros((20, 30))
    labels[[0, 0, -1, -1], [0, -1, 0, -1]] = corners
    assert seen(labels, "a", "b", "c").corners.tolist() == [label]
