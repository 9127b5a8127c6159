import numpy as np
import pandas as pd
import pingouin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ushydra_lab.results.agreement import icc


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
