"""What the mean hides: the typical image, and single images that move it."""

import numpy as np
import pytest

from ushydra_lab.results.location import location

from .image_tables import table


def test_one_wrong_label_is_named() -> None:
    """As one of 142 images moved a mean from 0.049 to 0.325."""
    errors = np.random.default_rng(0).uniform(0.03, 0.07, 142)
    errors[17] = 39.0
    found = location(table(np.stack([errors, errors])), "m")
    assert list(found.movers) == [17]
    assert found.movers[17] == pytest.approx(np.delete(errors, 17).mean())
    assert found.mean > 5 * found.median
    assert found.median == pytest.approx(np.median(errors))
    assert found.trimmed == pytest.approx(np.sort(errors)[14:-14].mean())


def test_ordinary_images_do_not_move_a_mean_and_one_image_has_no_movers() -> None:
    assert location(table(np.random.default_rng(0).uniform(1, 2, (2, 50))), "m").movers == {}
    assert location(table(np.ones((2, 1))), "m").movers == {}
    assert np.isnan(location(table(np.full((2, 3), np.nan)), "m").mean)
