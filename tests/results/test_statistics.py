"""Statistics agree with closed forms and brute force."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ushydra_lab.results.family import holm
from ushydra_lab.results.statistics import spread


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
