"""Bounds for a new unit hold for new units, sites or subjects, where bounds by pooled images do not."""

from math import ceil, inf, isinf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ushydra_lab.results.conformal import conformal_quantile, units_needed

ALPHAS = st.sampled_from([0.05, 0.1, 0.2, 0.3, 0.5])


def drawn(rng: np.random.Generator, sites: int, images: int, spread: float) -> NDArray[np.float64]:
    """|errors| (sites, images): a bias of the site, with an SD of `spread`, and noise of the image whose SD varies."""
    scale = np.exp(rng.normal(0, 0.4, (sites, 1)))
    return np.abs(rng.normal(0, spread, (sites, 1)) + scale * rng.standard_t(4, (sites, images)))


def coverage(calibrating: int, images: int, spread: float, draws: int = 1500) -> tuple[float, float, float]:
    """Coverage of images of new sites by the hierarchical bound, its standard error, and that by pooled images."""
    rng, site = np.random.default_rng(calibrating), np.repeat(np.arange(calibrating), images)
    covered, pooled = np.empty(draws), np.empty(draws)
    for draw in range(draws):
        scores, new = drawn(rng, calibrating, images, spread).ravel(), drawn(rng, 1, 50, spread)
        covered[draw] = (new <= conformal_quantile(scores, site, 0.1)).mean()
        pooled[draw] = (new <= conformal_quantile(scores, range(len(scores)), 0.1)).mean()
    return float(covered.mean()), float(covered.std() / np.sqrt(draws)), float(pooled.mean())


@pytest.mark.parametrize("calibrating", [9, 14, 30])
@pytest.mark.parametrize("spread", [0.0, 1.0, 3.0])
def test_90_per_cent_of_a_new_sites_images_lie_within(calibrating: int, spread: float) -> None:
    """At least 1 - alpha, and where sites are all that differs not above that by more than 2 / (K + 1)."""
    share, error, _ = coverage(calibrating, 20, spread)
    assert share > 0.9 - 3 * error
    if spread == 3.0:
        assert share < 0.9 + 2 / (calibrating + 1) + 3 * error


def test_pooled_images_promise_too_much_where_sites_differ() -> None:
    share, error, pooled = coverage(11, 40, 20.0)
    assert pooled < 0.87
    assert share > 0.9 - 3 * error


def test_a_network_trained_on_one_site_more_errs_no_more_at_a_new_one() -> None:
    """The mean of the training sites predicts: errors at sites left out bound those of the mean of all elsewhere."""
    rng, k, shares = np.random.default_rng(5), 12, []
    for _ in range(1500):
        sites = rng.normal(0, 2, (k + 1, 1)) + rng.normal(0, 1, (k + 1, 15))
        means = sites[:k].mean(axis=1)
        left_out = np.abs(sites[:k] - ((means.sum() - means) / (k - 1))[:, None])
        half = conformal_quantile(left_out.ravel(), np.repeat(np.arange(k), 15), 0.1)
        shares.append((np.abs(sites[k] - means.mean()) <= half).mean())
    assert np.mean(shares) > 0.9 - 3 * np.std(shares) / np.sqrt(1500)


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=60), st.sampled_from([0.05, 0.1, 0.2, 0.3, 0.7, 0.9]))
def test_with_one_image_a_unit_it_is_numpys_quantile_and_infinite_for_too_few(
    scores: list[float], alpha: float
) -> None:
    """Split conformal prediction: the ceil((n + 1)(1 - alpha))-th smallest."""
    n = len(scores)
    k = ceil(round((n + 1) * (1 - alpha), 9))
    found = conformal_quantile(scores, range(n), alpha)
    if k > n:
        assert isinf(found)
    else:  # numpy's `higher` counts ranks from 0 to n - 1; in mid-step no rounding can tip it over
        assert found == np.quantile(scores, max(k - 1.5, 0) / (n - 1), method="higher" if k > 1 else "lower")
        assert found == np.quantile(scores, (k - 0.5) / n, method="inverted_cdf")


def test_nine_units_are_just_enough_for_90_per_cent() -> None:
    assert conformal_quantile(np.arange(9), np.arange(9), 0.1) == 8
    assert conformal_quantile(np.arange(8), np.arange(8), 0.1) == inf
    assert conformal_quantile([*range(9), np.nan], range(10), 0.1) == 8
    assert conformal_quantile(np.arange(1, 10), np.arange(9), 0.7) == 3
    assert conformal_quantile([], [], 0.1) == inf
    for alpha in (0, 1, 5):
        with pytest.raises(ValueError, match="alpha"):
            conformal_quantile([1.0], [0], alpha)


@settings(deadline=None)
@given(st.integers(9, 15), st.integers(1, 6), st.integers(0, 99))
def test_copies_of_a_sites_images_and_the_order_of_rows_change_nothing(sites: int, copies: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    score, site = rng.exponential(size=sites * 4), np.repeat(np.arange(sites), 4)
    first = site == 0
    more = (np.r_[score, np.repeat(score[first], copies)], np.r_[site, np.repeat(site[first], copies)])
    order = rng.permutation(len(more[0]))
    expected = conformal_quantile(score, site, 0.1)
    assert conformal_quantile(more[0][order], more[1][order], 0.1) == expected
    assert conformal_quantile(np.r_[score, np.nan], np.r_[site, 99], 0.1) == expected


def test_fewer_sites_than_1_over_alpha_minus_1_bound_nothing_and_just_as_many_by_the_largest_error() -> None:
    score, site = np.arange(40.0), np.arange(40)
    assert [units_needed(alpha) for alpha in (0.05, 0.1, 0.2, 0.3)] == [19, 9, 4, 3]
    assert conformal_quantile(score, site % 8, 0.1) == inf
    assert conformal_quantile(score, site % 9, 0.1) == 39
    assert conformal_quantile(np.arange(60.0), np.arange(60) % 20, 0.1) == 56  # 57 of 60 / 21 * 20 reach 90 %
    with pytest.raises(ValueError, match="alpha"):
        conformal_quantile(score, site, 0)
    with pytest.raises(ValueError, match="a unit for each score"):
        conformal_quantile(score, site[1:], 0.1)
