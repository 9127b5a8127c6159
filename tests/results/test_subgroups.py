"""The interaction of a difference with a group agrees with Welch's test, keeps its level, and hides small groups."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ushydra_lab.results.subgroups import FEWEST, SMALL, UNKNOWN, grouped, interaction

from .image_tables import simulated, table


def members(inside: int, count: int) -> pd.Series:
    return pd.Series(np.arange(count) < inside)


def test_without_any_difference_between_seeds_it_is_welchs_standard_error() -> None:
    rng = np.random.default_rng(0)
    apart = np.concatenate([rng.normal(1, 1, 12), rng.normal(0, 3, 30)])
    a = table(np.tile(rng.normal(size=42), (3, 1)))
    b = a.assign(m=a["m"] + np.tile(apart, 3))
    found = interaction(a, b, "m", members(12, 42))
    welch = stats.ttest_ind(apart[:12], apart[12:], equal_var=False)
    assert found.difference == pytest.approx(apart[:12].mean() - apart[12:].mean())
    error = found.difference / welch.statistic
    assert found.high - found.difference == pytest.approx(stats.t.isf(0.025, 11) * error)
    assert found.inside == pytest.approx(apart[:12].mean())


def test_repeated_images_are_no_new_subjects_and_one_seed_has_no_interval() -> None:
    values = simulated(np.random.default_rng(1), 3, [1] * 20, 0.2, 1, 0.5)
    once, five = (table(np.repeat(values, n, axis=1), n) for n in (1, 5))
    found, repeated = (interaction(t.assign(m=0.0), t, "m", members(8 * n, 20 * n)) for t, n in ((once, 1), (five, 5)))
    assert (repeated.low, repeated.high, repeated.p) == pytest.approx((found.low, found.high, found.p))
    alone = once[once["seed"] == 0]
    one = interaction(alone.assign(m=0.0), alone, "m", members(8, 20))
    assert np.isfinite(one.difference)
    assert np.isnan([one.low, one.p]).all()
    assert np.isnan(interaction(once, once, "m", members(20, 20)).difference)


@pytest.mark.parametrize("across", [False, True], ids=["subjects of one group", "subjects in both"])
def test_of_a_difference_that_depends_on_no_group_few_are_significant(across: bool) -> None:
    rng, counts, hits = np.random.default_rng(2), [2] * 24, 0
    inside = pd.Series(np.arange(48) % 2 == 0 if across else np.arange(48) < 20)
    for _ in range(300):
        own = table(simulated(rng, 4, counts, 0.3, 1, 0.5), counts)
        hits += interaction(own.assign(m=0.0), own, "m", inside).p < 0.05
    assert hits / 300 < 0.08


def test_a_difference_in_one_group_alone_is_found() -> None:
    rng, counts = np.random.default_rng(3), [2] * 24
    own = table(simulated(rng, 5, counts, 0.1, 0.3, 0.3), counts)
    own["m"] += 2.0 * (own["record"] < 20)
    found = interaction(own.assign(m=0.0), own, "m", members(20, 48))
    assert found.low < 2 < found.high
    assert found.p < 0.001


def group(cells: list[object], each: int = 1) -> pd.Series:
    """The groups of so many images, `each` of a subject."""
    number = np.arange(len(cells))
    of = {"record": number, "site": "a", "subject": [f"s{k // each}" for k in number], "group_x": cells}
    return grouped(pd.concat([pd.DataFrame(of)] * 2), "group_x")


def test_numbers_are_in_tertiles_and_few_of_them_or_words_as_they_are() -> None:
    weeks = group([str(20 + k / 10) for k in range(30)])
    assert weeks.value_counts().to_dict() == {"up to 20.97": 10, "above 20.97 to 21.93": 10, "above 21.93": 10}
    assert set(group(["1", "2"] * 10)) == {"1", "2"}
    assert set(group(["GE", "ge"] * 10)) == {"GE", "ge"}
    assert set(group(["3", ""] * 10)) == {"3", UNKNOWN}
    assert set(group(["1", "2", "3", "inf", "5"] * 10)) == {"1", "2", "3", "inf", "5"}


def test_a_group_of_fewer_than_five_subjects_is_never_shown_alone() -> None:
    shown = group(["big"] * 20 + ["Mrs A"] * 3 + ["Mrs B"] * 4)
    assert shown.value_counts().to_dict() == {"big": 20, SMALL: 7}
    hidden = group(["big"] * 20 + ["Mrs A"] * 4)
    assert hidden.value_counts().to_dict() == {"big": 20}
    of_three = group(["big"] * 20 + ["Mrs A"] * 40, each=20)
    assert of_three.empty, f"all together are fewer than {FEWEST} subjects"
