"""Whether the typical image changes as the mean does."""

import numpy as np
import pingouin
import pytest
from scipy.stats import wilcoxon

from ushydra_lab.results.crossed import Common
from ushydra_lab.results.direction import direction

from .image_tables import table


def test_ten_gross_failures_rescued_while_fifty_get_worse_point_both_ways() -> None:
    before = np.r_[np.full(10, 5.0), np.full(50, 0.1)]
    after = np.r_[np.full(10, 0.2), np.full(50, 0.15)]
    found = direction(Common(table(np.tile(before, (3, 1))), table(np.tile(after, (3, 1)))).of("m"))
    assert found.mean == pytest.approx((before.size * 0 + 10 * -4.8 + 50 * 0.05) / 60)
    assert (found.smaller, found.larger, found.images) == (10, 50, 60)
    assert found.ranks == pytest.approx((sum(range(1, 51)) - sum(range(51, 61))) / sum(range(1, 61)))
    assert not found.agrees


@pytest.mark.parametrize("seed", range(4))
def test_signed_ranks_agree_with_scipy_and_pingouin(seed: int) -> None:
    difference = np.random.default_rng(seed).normal(0.2, 1, 12).round(1)  # with ties
    found = direction(Common(table(np.zeros((2, 12))), table(np.stack([difference, difference]))).of("m"))
    reference = pingouin.wilcoxon(difference, np.zeros(12))
    assert found.ranks == pytest.approx(float(reference["RBC"].iloc[0]))
    assert found.p == pytest.approx(wilcoxon(difference).pvalue)


def test_seeds_of_an_image_are_averaged_and_no_change_agrees_with_itself() -> None:
    values = np.array([[1.0, 0, 0, 0], [-2.0, 0, 0, 0]])
    found = direction(Common(table(np.zeros((2, 4))), table(values)).of("m"))
    assert (found.larger, found.smaller) == (0, 1)
    same = direction(Common(table(values), table(values)).of("m"))
    assert same.agrees
    assert np.isnan(same.p)
