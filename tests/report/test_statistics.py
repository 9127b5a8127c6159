"""Statistics agree with closed forms and brute force."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ushydra_lab.report.statistics import compare, holm, spread


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
def test_bootstrap_interval_covers_the_truth() -> None:
    """Dependent data: subject effects shared by seeds, seed effects shared by subjects; 95 % nominal."""
    rng, covered, trials = np.random.default_rng(1), 0, 300
    for _ in range(trials):
        a = 10 + rng.normal(0, 1, (1, 40)) + rng.normal(0, 0.5, (8, 40))
        b = a + 1 + rng.normal(0, 0.6, (1, 40)) + rng.normal(0, 0.25, (8, 1)) + rng.normal(0, 0.3, (8, 40))
        seeds = tuple(range(8))
        found = compare(table(a, seeds), table(b, seeds), "m", relative=False, resamples=400)
        covered += found.low <= 1.0 <= found.high
    assert 0.88 <= covered / trials <= 0.99


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
