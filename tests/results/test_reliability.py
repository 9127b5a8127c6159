"""Reliability statistics agree with brute force, closed forms and simulation."""

import itertools
from math import inf, isnan

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_curve

from ushydra_lab.results.conformal import conformal_quantile
from ushydra_lab.results.reliability import (
    aurc,
    calibration_table,
    chance_of_coverage,
    conformal_scores,
    coverage,
    fpr95,
    risk_coverage,
    uncertainty_correlation,
)

PAIRS = st.lists(st.tuples(st.floats(0, 100), st.integers(0, 3)), min_size=1, max_size=6)
"""Errors and uncertainties with many ties."""


@settings(deadline=None, max_examples=60)
@given(PAIRS)
def test_risk_is_the_mean_over_all_orders_that_the_uncertainty_allows(pairs: list[tuple[float, int]]) -> None:
    orders = [o for o in itertools.permutations(pairs) if [u for _, u in o] == sorted(u for _, u in pairs)]
    count = np.arange(1, len(pairs) + 1)
    expected = np.mean([np.cumsum([error for error, _ in order]) / count for order in orders], axis=0)
    curve, area = risk_coverage(*zip(*pairs, strict=True)), aurc(*zip(*pairs, strict=True))
    assert curve["risk"].tolist() == pytest.approx(expected.tolist())
    assert curve["coverage"].tolist() == pytest.approx((count / len(pairs)).tolist())
    assert area.aurc == pytest.approx(expected.mean())


@settings(deadline=None, max_examples=60)
@given(PAIRS, st.randoms())
def test_the_order_of_rows_changes_no_bit(pairs: list[tuple[float, int]], random) -> None:
    shuffled = random.sample(pairs, len(pairs))
    first, second = (tuple(zip(*rows, strict=True)) for rows in (pairs, shuffled))
    pd.testing.assert_frame_equal(risk_coverage(*first), risk_coverage(*second), check_exact=True)
    pd.testing.assert_frame_equal(calibration_table(*first), calibration_table(*second), check_exact=True)
    assert aurc(*first) == aurc(*second)


@settings(deadline=None, max_examples=25)
@given(PAIRS)
def test_the_oracle_is_the_least_of_all_rankings_and_knowing_nothing_is_the_mean(
    pairs: list[tuple[float, int]],
) -> None:
    error = np.array([e for e, _ in pairs])
    found = aurc(error, [u for _, u in pairs])
    ranked = [aurc(error, order).aurc for order in itertools.permutations(range(len(error)))]
    assert found.oracle == pytest.approx(min(ranked))
    assert found.oracle == pytest.approx(aurc(error, error).aurc)
    assert found.random == pytest.approx(np.mean(ranked)) == pytest.approx(error.mean())
    assert aurc(error, np.ones(len(error))).aurc == pytest.approx(error.mean())


def test_aurc_of_errors_1_to_n_has_a_closed_form() -> None:
    """Risk of the best k of 1 ... n is (k + 1) / 2; of the worst k it is n - (k - 1) / 2."""
    error = np.arange(1.0, 101)
    found = aurc(error, error)
    assert (found.aurc, found.oracle, found.random, found.n) == pytest.approx((103 / 4, 103 / 4, 50.5, 100))
    assert aurc(error, -error).aurc == pytest.approx(100 - 99 / 4)


def test_rows_with_a_gap_are_left_out_and_no_rows_have_no_area() -> None:
    found = aurc([1, np.nan, 3, 5], [1, 0, np.nan, 2])
    assert (found.aurc, found.n) == (pytest.approx((1 + 3) / 2), 2)
    nothing = aurc([np.nan], [1.0])
    assert isnan(nothing.aurc)
    assert nothing.n == 0
    assert risk_coverage([], []).columns.tolist() == ["coverage", "risk", "oracle"]
    assert calibration_table([], []).empty


@pytest.mark.parametrize("function", [risk_coverage, aurc, uncertainty_correlation, calibration_table])
def test_signed_errors_and_unequal_lengths_are_refused(function) -> None:
    with pytest.raises(ValueError, match="absolute"):
        function([1.0, -1], [1.0, 2])
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        function([1.0, 1], [1.0, 2, 3])


@pytest.mark.parametrize("weighted", [False, True])
def test_90_per_cent_intervals_hold_90_per_cent_of_exchangeable_errors(weighted: bool) -> None:
    """Heavy-tailed errors whose size follows the uncertainty; the mean over samples is k / (n + 1) exactly."""
    rng, shares, widths = np.random.default_rng(0), [], []
    for _ in range(600):
        uncertainty = rng.uniform(0.5, 4, 150)
        error = uncertainty * rng.standard_t(3, 150)
        past, new = slice(50), slice(50, None)
        scores = conformal_scores(error[past], uncertainty[past] if weighted else None)
        quantile = conformal_quantile(scores, range(len(scores)), 0.1)
        found = coverage(error[new], quantile * uncertainty[new] if weighted else quantile, np.arange(100))
        shares.append(found.share)
        widths.append(found.half_width)
    assert 0.88 < np.mean(shares) < 0.92
    assert np.mean(shares) == pytest.approx(46 / 51, abs=4 * np.std(shares) / np.sqrt(600))


def test_weighted_intervals_hold_alike_for_certain_and_uncertain_images_where_plain_ones_do_not() -> None:
    rng = np.random.default_rng(1)
    uncertainty = np.repeat([1.0, 5.0], 4000)
    error = uncertainty * rng.normal(size=8000)
    calibration = rng.permutation(8000) < 2000
    share = {}
    for kind, weights in {"plain": None, "weighted": uncertainty}.items():
        quantile = conformal_quantile(conformal_scores(error, weights)[calibration], np.flatnonzero(calibration), 0.1)
        half_width = np.full(8000, quantile) if weights is None else quantile * uncertainty
        parts = [~calibration & (uncertainty == u) for u in (1.0, 5.0)]
        share[kind] = [coverage(error[part], half_width[part], np.arange(part.sum())).share for part in parts]
    assert share["weighted"] == pytest.approx([0.9, 0.9], abs=0.02)
    assert share["plain"][0] > 0.99
    assert share["plain"][1] < 0.85


def test_a_score_says_how_many_times_its_uncertainty_an_interval_must_reach() -> None:
    error, uncertainty = [-2.0, 1, 1, 0, np.nan], [4.0, 0.5, 0, 0, 1]
    np.testing.assert_array_equal(conformal_scores(error), [2, 1, 1, 0, np.nan])
    np.testing.assert_array_equal(conformal_scores(error, uncertainty), [0.5, 2, inf, 0, np.nan])
    with pytest.raises(ValueError, match="negative"):
        conformal_scores(error, [-1.0] * 5)


def test_coverage_counts_known_errors_and_of_single_images_has_clopper_and_pearsons_interval() -> None:
    found = coverage([-1.0, 1, 2.5, np.nan, 3], [1.0, 2, 2, 9, np.nan], list("abcde"))
    assert (found.share, found.half_width, found.n) == (pytest.approx(2 / 3), pytest.approx(5 / 3), 3)
    low, high = stats.beta.ppf(0.025, 2, 2), stats.beta.ppf(0.975, 3, 1)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert coverage([5.0, -7], inf, ["a", "b"]).share == 1
    assert isnan(coverage([np.nan], 1.0, ["a"]).share)


def test_ten_images_of_each_subject_tell_no_more_of_the_coverage_than_one() -> None:
    error = np.where(np.arange(30) < 24, 1.0, 9.0)
    alone, ten = (coverage(np.repeat(error, n), 2.0, np.repeat(np.arange(30), n)) for n in (1, 10))
    assert (ten.share, ten.n, ten.subjects) == (alone.share, 300, 30)
    assert ten.high - ten.low == pytest.approx(alone.high - alone.low, abs=0.01)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 999))
def test_unusual_images_pass_as_on_sklearns_curve(usual: int, unusual: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    known, other = rng.integers(0, 9, usual), rng.integers(3, 12, unusual)
    truth = np.repeat([1, 0], [usual, unusual])
    false, true, _ = roc_curve(truth, -np.concatenate([known, other]), drop_intermediate=False)
    found = fpr95([*known, np.nan], [*other, np.nan], np.arange(unusual + 1))
    assert found.value == pytest.approx(false[np.argmax(true >= 0.95 - 1e-12)])
    assert found.images == unusual
    assert isnan(fpr95([], other, np.arange(unusual)).value)


def test_the_chance_of_a_coverage_is_that_of_exchangeable_subjects() -> None:
    rng = np.random.default_rng(4)
    scores = rng.exponential(size=(20000, 60 + 200))
    quantiles = np.sort(scores[:, :60], axis=1)[:, 54]
    assert quantiles[0] == conformal_quantile(scores[0, :60], range(60), 0.1)
    shares = (scores[:, 60:] <= quantiles[:, None]).mean(axis=1)
    for share in (0.8, 0.85, 0.9, 0.97):
        assert chance_of_coverage(share, 200, 60, 0.1) == pytest.approx((shares <= share).mean(), abs=0.015)
    assert np.mean([chance_of_coverage(share, 200, 60, 0.1) < 0.05 for share in shares[:2000]]) < 0.055


def test_a_low_coverage_is_less_likely_the_more_subjects_calibrated_and_were_tested() -> None:
    few, tested, both = (chance_of_coverage(0.8225, *n, 0.1) for n in ((20, 20), (200, 20), (200, 110)))
    assert few > tested > 0.05 > both
    assert chance_of_coverage(1.0, 200, 60, 0.1) == 1
    assert chance_of_coverage(1.0, 200, 8, 0.1) == 1
    assert chance_of_coverage(np.nan, 0, 60, 0.1) == 1


def test_correlation_is_pearsons_of_the_ranks_and_none_without_variation() -> None:
    rng = np.random.default_rng(2)
    uncertainty = rng.integers(1, 9, 40).astype(float)
    error = uncertainty * rng.exponential(size=40)
    found = uncertainty_correlation([*error, np.nan], [*uncertainty, 3])
    assert found.rho == pytest.approx(np.corrcoef(stats.rankdata(error), stats.rankdata(uncertainty))[0, 1])
    assert (found.n, found.p < 0.01) == (40, True)
    assert uncertainty_correlation(error, np.exp(error)).rho == pytest.approx(1)
    assert isnan(uncertainty_correlation(error, np.ones(40)).rho)
    assert isnan(uncertainty_correlation([1, 2], [1, 2]).rho)


def test_deciles_are_equally_large_and_their_means_follow_a_calibrated_uncertainty() -> None:
    rng = np.random.default_rng(3)
    uncertainty = rng.uniform(1, 3, 5000)
    table = calibration_table(np.abs(uncertainty * rng.normal(size=5000)), uncertainty)
    assert table["bin"].tolist() == list(range(1, 11))
    assert set(table["n"]) == {500}
    assert table["uncertainty"].tolist() == pytest.approx(np.sort(uncertainty).reshape(10, 500).mean(axis=1).tolist())
    assert table["error"].tolist() == pytest.approx((np.sqrt(2 / np.pi) * table["uncertainty"]).tolist(), rel=0.15)


@pytest.mark.parametrize("n", [3, 10, 25, 103])
def test_bins_differ_by_one_image_at_most_and_ties_share_a_bin(n: int) -> None:
    table = calibration_table(np.ones(n), np.arange(n))
    assert table["n"].sum() == n
    assert table["n"].max() - table["n"].min() <= 1
    tied = calibration_table(np.arange(n), np.repeat([1.0, 2], [n - 1, 1]))
    assert tied["n"].tolist() == [n - 1, 1]
    assert tied["error"].tolist() == pytest.approx([(n - 2) / 2, n - 1])
    assert calibration_table(np.arange(n), np.ones(n))["n"].tolist() == [n]
