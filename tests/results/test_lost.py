"""Methods that lack values of different images."""

import numpy as np
import pytest

from ushydra_lab.results.crossed import effect
from ushydra_lab.results.lost import bounded, lost

from .image_tables import table


def test_lost_images_are_compared_on_the_common_ones_and_with_the_worst_value() -> None:
    """a loses its two hard images, b two easy ones: on the common ones b looks no better."""
    none = np.nan
    a, b = (table(np.tile(x, (2, 1))) for x in ([none, none, 1, 1, 1, 1, 1, 2], [9.0, 8, none, 1, 1, 1, 1, 2]))
    found = lost(a, b, "m", "lower")
    assert found.common.change == 0
    assert found.common.images == 5
    assert (found.lost_by_a, found.lost_by_b) == (4, 2)
    assert found.imputed.images == 8
    assert found.imputed.change == pytest.approx(((9 + 8 + 9) - (9 + 9 + 1)) / 8)
    assert not found.agrees


def test_the_worst_value_is_the_smallest_where_more_is_better() -> None:
    a, b = table(np.array([[3.0, 4, 5], [3, 4, 5]])), table(np.array([[3.0, np.nan, 5], [3, 4, 5]]))
    found = lost(a, b, "m", "higher")
    assert found.imputed.change == pytest.approx((3 - 4) / 6)
    absent = lost(a, b.dropna(), "m", "higher")  # a row that is not there is lost as well
    assert absent.imputed.change == found.imputed.change
    assert absent.lost_by_b == 1


def test_images_without_a_value_of_either_and_seeds_of_one_method_are_no_loss() -> None:
    a = table(np.array([[1.0, np.nan, 2], [1, np.nan, 2]]))
    found = lost(a, a[a["seed"] == 1], "m", "lower")
    assert (found.lost_by_a, found.lost_by_b, found.imputed.seeds) == (0, 0, 1)


def test_a_perfect_reconstruction_counts_as_the_best_finite_value() -> None:
    images = table(np.array([[30.0, np.inf, 40], [31, 35, -np.inf]])).assign(other=1.0)
    found, replaced = bounded(images, ["m", "other"])
    assert found["m"].tolist() == [30, 40, 40, 31, 35, 30]
    assert replaced == {"m": 2}
    assert np.isinf(images["m"]).sum() == 2  # the table that was given is left alone
    change = effect(images.assign(m=30.0), found, "m").change
    assert np.isfinite(change)
    all_infinite, _ = bounded(images.assign(m=np.inf), ["m"])
    assert all_infinite["m"].isna().all()
