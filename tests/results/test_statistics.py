"""Statistics agree with closed forms and brute force."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ushydra_lab.results.statistics import compare, holm, interval, spread


def table(values: np.ndarray, seeds: tuple[int, ...] = (0, 1)) -> pd.DataFrame:
    """values: (seeds, subjects)."""
    rows = [
        {"seed": seed, "site": "a" if j % 2 else "b", "subject": f"s{j}", "record": j, "m": values[i, j]}
        for i, seed in enumerate(seeds)
        for j in range(values.shape[1])
    ]
    return pd.DataFrame(rows)


def test_spread_is_mean_and_sd_over_the_seeds_means() -> None:
    values = np.array([[1.0, 3.0], [2.0, 6.0]])
    found = spread(table(values), "m")
    assert (found.mean, found.sd, found.seeds, found.images) == (3.0, np.std([2, 4], ddof=1), 2, 2)


def test_one_seed_has_no_sd() -> None:
    assert np.isnan(spread(table(np.ones((1, 4)), (0,)), "m").sd)


def test_one_image_has_no_interval_and_nothing_over_nothing_is_no_change() -> None:
    one = np.ones((1, 1))
    alone = compare(table(one, (0,)), table(2 * one, (0,)), "m", relative=False)
    assert alone.change == 1
    assert np.isnan([alone.low, alone.high]).all()
    none = compare(table(np.zeros((2, 9))), table(np.ones((2, 9))), "m", relative=True)
    assert np.isnan([none.change, none.low, none.high]).all()


def test_comparison_of_a_constant_ratio_is_exact() -> None:
    a = np.random.default_rng(0).uniform(1, 2, (2, 30))
    found = compare(table(a), table(0.9 * a), "m", relative=True)
    assert found.change == pytest.approx(-10)
    assert (found.low, found.high) == (pytest.approx(-10), pytest.approx(-10))
    assert found.p == pytest.approx(stats.wilcoxon(-0.1 * a.mean(0)).pvalue)
    assert (found.subjects, found.seeds) == (30, 2)


def test_comparison_uses_only_images_both_methods_have() -> None:
    a, b = table(np.ones((1, 10)), (0,)), table(np.full((1, 10), 2.0), (0,))
    b.loc[3:, "m"] = np.nan
    assert compare(a, b, "m", relative=True).subjects == 3


def test_nothing_in_common_is_not_a_number() -> None:
    found = compare(table(np.ones((1, 3)), (0,)), table(np.ones((1, 3)), (1,)), "m", relative=True)
    assert np.isnan(found.change)
    assert found.subjects == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "subjects", "of_subjects", "of_seeds", "least"),
    [(5, 40, 1.0, 0.1, 0.93), (5, 40, 1.0, 0.3, 0.93), (10, 60, 1.0, 0.3, 0.93), (5, 40, 0.3, 0.3, 0.92)],
)
def test_intervals_cover_the_truth(
    seeds: int, subjects: int, of_subjects: float, of_seeds: float, least: float
) -> None:
    """Nominally 95 %; subjects' effects return under every seed, seeds' effects in every subject."""
    rng, covered, trials, counts = np.random.default_rng(1), 0, 3000, np.ones((seeds, subjects))
    for _ in range(trials):
        effects = rng.normal(0, of_subjects, (1, subjects)) + rng.normal(0, of_seeds, (seeds, 1))
        a = 10 + rng.normal(0, 1, (1, subjects)) + rng.normal(0, 0.5, (seeds, subjects))
        b = a + 1 + effects + rng.normal(0, 0.3, (seeds, subjects))
        low, high = interval(a, b, counts, relative=False, resamples=400)
        covered += low <= 1.0 <= high
    assert least <= covered / trials <= 0.97


def test_the_interval_of_one_seed_is_student_s_over_subjects() -> None:
    """Of normal differences, within a few per cent: the bootstrap has its own noise."""
    difference = np.random.default_rng(0).normal(1, 1, 15)
    a = np.zeros((1, 15))
    found = compare(table(a, (0,)), table(a + difference, (0,)), "m", relative=False)
    low, high = stats.ttest_1samp(difference, 0).confidence_interval()
    assert found.high - found.low == pytest.approx(high - low, rel=0.05)
    assert found.low == pytest.approx(low, abs=0.1 * (high - low))


@pytest.mark.parametrize("relative", [True, False])
def test_two_seeds_that_disagree_leave_everything_open(relative: bool) -> None:
    a = np.full((2, 50), 10.0)
    found = compare(table(a), table(a + np.array([[0.5], [3.5]])), "m", relative=relative)
    assert found.low < 0 < found.high


def test_no_interval_reaches_beyond_the_changes_that_there_can_be() -> None:
    share = table(np.array([[0.0] * 50, [0.9] * 50]))
    none, most = table(np.zeros((2, 50))), compare(table(np.zeros((2, 50))), share, "m", relative=False)
    assert most.high > 1
    assert compare(none, share, "m", relative=False, most=1).high == 1
    assert compare(share, none, "m", relative=False, most=1).low == -1
    errors, fewer = table(np.array([[1.0] * 50, [2.0] * 50])), table(np.array([[1.0] * 50, [0.1] * 50]))
    assert compare(errors, fewer, "m", relative=True).low == -100


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_agrees_with_the_closed_test_over_all_subsets(p_values: list[float]) -> None:
    """Holm is the closure of Bonferroni: adjusted p = max over subsets with i of min(1, |S| min p in S)."""
    indices = range(len(p_values))
    subsets = [s for size in range(1, len(p_values) + 1) for s in itertools.combinations(indices, size)]
    expected = [max(min(1, len(s) * min(p_values[j] for j in s)) for s in subsets if i in s) for i in indices]
    assert holm(p_values) == pytest.approx(expected)


def test_holm_leaves_undefined_p_values_out() -> None:
    adjusted = holm([0.01, float("nan"), 0.04])
    assert adjusted[0] == pytest.approx(0.02)
    assert np.isnan(adjusted[1])
