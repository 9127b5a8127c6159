"""The mean over hospitals and their heterogeneity agree with statsmodels and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t, ttest_1samp
from statsmodels.stats.meta_analysis import combine_effects

from ushydra_lab.results.hospitals import across_hospitals

sites = st.lists(
    st.tuples(st.integers(-500, 500), st.integers(5, 400)), min_size=2, max_size=8, unique_by=lambda site: site[0]
)


@settings(deadline=None, max_examples=60)
@given(sites)
def test_heterogeneity_is_that_of_statsmodels(found: list[tuple[int, int]]) -> None:
    effects, variances = np.array(found).T / 100
    ours = across_hospitals(effects, variances)
    theirs = combine_effects(effects, variances, method_re="iterated")
    assert ours.q == pytest.approx(theirs.q, abs=1e-9)
    assert ours.i2 == pytest.approx(max(theirs.i2, 0), abs=1e-9)
    assert ours.tau2 == pytest.approx(max(theirs.tau2, 0), abs=1e-3)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-500, 500), min_size=2, max_size=8, unique=True), st.floats(0.05, 4))
def test_equal_variances_give_the_hartung_knapp_interval_of_statsmodels(effects: list[int], variance: float) -> None:
    ours = across_hospitals(effects, [variance] * len(effects))
    theirs = combine_effects(np.array(effects), np.full(len(effects), variance), method_re="iterated", use_t=True)
    mean, low, high = theirs.summary_frame().loc["random effect wls", ["eff", "ci_low", "ci_upp"]]
    assert ours.mean == pytest.approx(mean, abs=1e-9)
    assert ours.interval() == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))
    reference = ttest_1samp(effects, 0)
    assert ours.p() == pytest.approx(reference.pvalue)
    assert ours.interval(0.1) == pytest.approx(tuple(reference.confidence_interval(0.9)))


def test_the_prediction_interval_is_that_of_one_more_of_a_normal_sample() -> None:
    effects = np.array([0.1, 0.5, 0.9, 0.4])
    low, high = across_hospitals(effects, np.full(4, 0.1)).prediction
    half = t.ppf(0.975, 3) * effects.std(ddof=1) * np.sqrt(1.25)
    assert (low, high) == (pytest.approx(effects.mean() - half), pytest.approx(effects.mean() + half))


def test_one_hospital_says_nothing_of_others_and_two_say_why_they_say_little() -> None:
    one = across_hospitals([0.5], [0.1])
    assert np.isnan([*one.interval(), *one.prediction, one.tau2, one.p()]).all()
    assert "One held-out hospital" in one.caution
    two = across_hospitals([0.5, 0.6], [0.1, 0.1])
    assert "12.7" in two.caution
    assert two.prediction[0] < 0 < two.prediction[1]
    assert across_hospitals([1.0] * 5, [0.1] * 5).caution == ""


def test_a_hospital_without_an_effect_is_left_out_and_one_seed_leaves_heterogeneity_unknown() -> None:
    found = across_hospitals([1.0, np.nan, 2.0, 4.0], [np.nan, 1.0, 0.5, 0.5])
    assert found.k == 3
    assert np.isnan([found.tau2, found.q, found.i2]).all()
    assert np.isfinite(found.interval()).all()
    assert across_hospitals([], []).k == 0
