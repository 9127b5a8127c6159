import numpy as np
import pandas as pd
import pingouin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy import stats
from scipy.integrate import quad

from ushydra_lab.results.agreement import bland_altman, icc


def ratings(n: int, k: int, noise: float, bias: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 1)) + noise * rng.normal(size=(n, k)) + bias * np.arange(k)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=40, deadline=None)
@given(st.integers(5, 40), st.integers(2, 5), st.floats(0.05, 2), st.floats(0, 1), st.integers(0, 99))
def test_icc_and_its_interval_are_pingouins(n: int, k: int, noise: float, bias: float, seed: int) -> None:
    values = ratings(n, k, noise, bias, seed)
    long = pd.DataFrame([(i, j, values[i, j]) for i in range(n) for j in range(k)], columns=["target", "rater", "y"])
    expected = pingouin.intraclass_corr(long, "target", "rater", "y").set_index("Type").loc["ICC(A,1)"]
    found = icc(values)
    assert found.icc == pytest.approx(expected["ICC"], abs=1e-9)
    assert (found.low, found.high) == pytest.approx(tuple(expected["CI95"]), abs=0.0051)  # pingouin rounds them


def test_raters_that_agree_have_one_and_a_shift_of_one_rater_lowers_it() -> None:
    values = ratings(20, 1, 0, 0, 0).repeat(3, axis=1)
    assert icc(values).icc == pytest.approx(1)
    assert icc(values + np.array([0, 0, 1])).icc < 0.9


def test_missing_values_drop_their_target_and_too_little_is_nan() -> None:
    values = ratings(12, 3, 0.3, 0.1, 1)
    gap = np.vstack([values, [[1, np.nan, 2]]])
    assert icc(gap) == icc(values)
    for few in (values[:1], values[:, :1], np.full((9, 2), 3.0), np.full((4, 3), np.nan)):
        assert np.isnan(icc(few).icc)


def drawn_by_pingouin(a: np.ndarray, b: np.ndarray) -> list[float]:
    """Bias, upper and lower limit, and the ends of the interval of the bias, as pingouin's plot shows them."""
    figure = Figure()
    axes = pingouin.plot_blandaltman(a, b, agreement=stats.norm.ppf(0.975), ax=figure.subplots())
    lines = [line.get_ydata()[0] for line in axes.get_lines()][1:]
    around_bias = next(patch for patch in axes.patches if patch.get_facecolor()[0] == patch.get_facecolor()[1])
    return [*lines, around_bias.get_y(), around_bias.get_y() + around_bias.get_height()]


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 60), st.floats(-5, 5), st.floats(0.1, 10), st.integers(0, 99))
def test_bias_and_limits_are_pingouins(n: int, bias: float, noise: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(60, 110, n)
    measured = truth + bias + noise * rng.normal(size=n)
    found = bland_altman(measured, truth)
    assert [found.bias, found.high, found.low, *found.bias_interval] == pytest.approx(
        drawn_by_pingouin(measured, truth)
    )
    assert (found.sd, found.n) == (pytest.approx(np.std(measured - truth, ddof=1)), n)


@pytest.mark.parametrize("n", [2, 5, 12, 60])
def test_each_end_of_a_limits_interval_passes_the_true_limit_in_2_5_per_cent_of_samples(n: int) -> None:
    """Standard normal differences, whose limit is z: integrated over the SD of samples; their mean is normal."""
    found = bland_altman(np.array([1.0, -1] * (n // 2) + [0] * (n % 2)), np.zeros(n))
    z, root = stats.norm.ppf(0.975), np.sqrt(n - 1)
    for end, expected in zip(found.high_interval, (0.975, 0.025), strict=True):
        factor = end / found.sd  # the bias is 0
        below, _ = quad(
            lambda sd, factor=factor: (
                stats.norm.cdf((z - factor * sd) * np.sqrt(n)) * stats.chi.pdf(sd * root, n - 1) * root
            ),
            0,
            10,
            points=[0.05, 1],
        )
        assert below == pytest.approx(expected, abs=1e-6)


def test_for_many_images_the_exact_intervals_are_bland_and_altmans_approximate_ones() -> None:
    rng = np.random.default_rng(3)
    found = bland_altman(rng.normal(1, 2, 5000), np.zeros(5000))
    z = stats.norm.ppf(0.975)
    error = z * found.sd * np.sqrt(1 / 5000 + z**2 / (2 * 4999))
    assert found.high_interval == pytest.approx((found.high - error, found.high + error), abs=0.02 * error)
    assert found.low_interval == pytest.approx((found.low - error, found.low + error), abs=0.02 * error)


def test_exchanging_the_methods_mirrors_their_agreement() -> None:
    a, b = ratings(15, 2, 1, 0.5, 7).T
    found, mirrored = bland_altman(a, b), bland_altman(b, a)
    assert [-mirrored.bias, -mirrored.low, mirrored.sd] == pytest.approx([found.bias, found.high, found.sd])
    assert found.low_interval == pytest.approx(tuple(-x for x in mirrored.high_interval[::-1]))


def test_one_gross_failure_widens_the_limits_but_not_the_middle_of_the_errors() -> None:
    errors = np.random.default_rng(5).normal(0, 1, 200)
    failed = errors.copy()
    failed[17] = -50
    before, found = bland_altman(errors, np.zeros(200)), bland_altman(failed, np.zeros(200))
    assert found.high - found.low > 3 * (before.high - before.low)
    assert found.middle == pytest.approx(before.middle, abs=0.2)
    assert found.middle == pytest.approx(tuple(stats.scoreatpercentile(failed, [2.5, 97.5])))
    assert (found.outside, found.furthest) == (1, -50)
    assert before.outside == (abs(errors - errors.mean()) > stats.norm.ppf(0.975) * errors.std(ddof=1)).sum() > 1


def test_limits_lack_nothing_but_pairs_with_a_gap_and_need_two() -> None:
    a, b = ratings(9, 2, 1, 0.5, 8).T
    assert bland_altman([*a, np.nan, 1], [*b, 1, np.nan]) == bland_altman(a, b)
    alone = bland_altman([1.0, np.nan], [2.0, 3.0])
    assert alone.n == 1
    assert np.isnan([alone.bias, alone.sd, alone.low, *alone.low_interval, alone.high, *alone.high_interval]).all()
    assert np.isnan([*alone.middle, alone.furthest]).all()
    same = bland_altman([1.0, 2], [0.0, 1])
    assert (same.bias, same.sd, same.low_interval, same.high_interval) == (1, 0, (1, 1), (1, 1))
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        bland_altman([1, 2], [1, 2, 3])
