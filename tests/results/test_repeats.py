"""Agreement of repeated measurements, against statsmodels, and the plain one where nothing is repeated."""

import numpy as np
import pandas as pd
import pingouin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from ushydra_lab.results.repeats import bland_altman_repeated


def drawn_by_pingouin(a: np.ndarray, b: np.ndarray) -> list[float]:
    """Bias, upper and lower limit, and the ends of the interval of the bias, as pingouin's plot shows them."""
    figure = Figure()
    axes = pingouin.plot_blandaltman(a, b, agreement=stats.norm.ppf(0.975), ax=figure.subplots())
    lines = [line.get_ydata()[0] for line in axes.get_lines()][1:]
    around_bias = next(patch for patch in axes.patches if patch.get_facecolor()[0] == patch.get_facecolor()[1])
    return [*lines, around_bias.get_y(), around_bias.get_y() + around_bias.get_height()]


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 60), st.floats(-5, 5), st.floats(0.1, 10), st.integers(0, 99))
def test_one_image_of_each_subject_is_the_plain_agreement_as_pingouin_has_it(
    n: int, bias: float, noise: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(60, 110, n)
    measured = truth + bias + noise * rng.normal(size=n)
    found = bland_altman_repeated(measured, truth, np.arange(n))
    assert [found.bias, found.high, found.low, *found.bias_interval] == pytest.approx(
        drawn_by_pingouin(measured, truth)
    )
    assert found.within == 0
    assert [found.between, found.sd] == pytest.approx([np.std(measured - truth, ddof=1)] * 2)


@pytest.mark.parametrize("n", [12, 40, 400])
def test_without_repeats_the_limits_reach_about_as_far_as_exact_ones(n: int) -> None:
    """Of one limit at a time, by the noncentral t distribution (A. Carkeet, Optom. Vis. Sci. 92, 2015)."""
    difference = np.random.default_rng(0).normal(1, 2, n)
    found = bland_altman_repeated(difference, np.zeros(n), np.arange(n))
    inner, outer = stats.nct.ppf([0.025, 0.975], n - 1, stats.norm.ppf(0.975) * np.sqrt(n)) * found.sd / np.sqrt(n)
    assert found.high_interval == pytest.approx((found.bias + inner, found.bias + outer), abs=0.15 * (outer - inner))


def test_components_are_those_of_an_analysis_of_variance_by_subject() -> None:
    rng, who = np.random.default_rng(0), np.repeat(np.arange(12), 5)
    difference = rng.normal(0, 2, 12)[who] + rng.normal(0, 1, 60)
    squares = anova_lm(ols("d ~ C(who)", pd.DataFrame({"d": difference, "who": who})).fit())["mean_sq"]
    found = bland_altman_repeated(difference, np.zeros(60), who)
    assert found.within**2 == pytest.approx(squares["Residual"])
    assert found.between**2 == pytest.approx((squares["C(who)"] - squares["Residual"]) / 5)
    total = found.within**2 + found.between**2
    assert found.high - found.bias == pytest.approx(1.959964 * np.sqrt(total))


def test_repeated_images_widen_the_intervals_that_are_taken_for_independent() -> None:
    rng, who = np.random.default_rng(0), np.repeat(np.arange(10), 6)
    a, b = 20 + rng.normal(0, 2, 10)[who], np.full(60, 20.0) + rng.normal(0, 0.1, 60)
    found, plain = bland_altman_repeated(a, b, who), bland_altman_repeated(a, b, np.arange(60))
    assert found.bias_interval[1] - found.bias_interval[0] > 2 * (plain.bias_interval[1] - plain.bias_interval[0])
    assert found.high_interval[1] > plain.high_interval[1]


def test_a_bias_that_grows_with_the_size_is_found() -> None:
    rng, who = np.random.default_rng(0), np.repeat(np.arange(30), 4)
    size = rng.uniform(20, 40, 30)[who] + rng.normal(0, 1, 120)
    found = bland_altman_repeated(size * 1.1 + rng.normal(0, 0.3, 120), size, who)
    assert found.proportional
    assert found.slope == pytest.approx(0.2 / 2.1, rel=0.1)
    assert found.slope_interval[0] < 0.2 / 2.1 < found.slope_interval[1]
    none = bland_altman_repeated(size + rng.normal(0, 0.3, 120), size, who)
    assert not none.proportional


def test_declared_limits_are_met_by_the_outer_ends() -> None:
    rng, who = np.random.default_rng(0), np.repeat(np.arange(30), 3)
    a, b = rng.normal(0, 1, (2, 90))
    found = bland_altman_repeated(a, b, who)
    reach = max(-found.low_interval[0], found.high_interval[1])
    assert bland_altman_repeated(a, b, who, acceptable=reach + 0.01).acceptable is True
    assert bland_altman_repeated(a, b, who, acceptable=reach - 0.01).acceptable is False
    assert found.acceptable is None


def test_missing_pairs_are_dropped_and_one_subject_has_no_interval() -> None:
    found = bland_altman_repeated([1.0, 2, np.nan, 4, 5], [1.0, 1, 1, 3, np.nan], [0, 0, 1, 1, 2])
    assert (found.n, found.subjects) == (3, 2)
    alone = bland_altman_repeated([1.0, 2], [0.0, 0], ["a", "a"])
    assert alone.bias == 1.5
    assert np.isnan([*alone.bias_interval, alone.low, alone.slope]).all()
    assert np.isnan(bland_altman_repeated([], [], []).bias)
