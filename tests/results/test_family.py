"""Stars and intervals of a whole report."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from ushydra_lab.results.crossed import Effect, effect
from ushydra_lab.results.family import adjusted
from ushydra_lab.results.rates import layout, relabelled

from .image_tables import simulated, table


def effects(changes: list[float], seeds: int = 5, subjects: int = 20) -> dict[int, Effect]:
    rng = np.random.default_rng(0)
    found = {}
    for key, change in enumerate(changes):
        base = 10 + rng.normal(0, 1, (1, subjects)) + np.zeros((seeds, 1))
        moved = base + change + simulated(rng, seeds, [1] * subjects, 0.1, 0.3, 0.3)
        found[key] = effect(table(base), table(moved), "m")
    return found


def test_p_is_adjusted_by_holm_and_intervals_by_bonferroni() -> None:
    found = adjusted(effects([0, 0.2, 0.4, 0.6, 1.0, 2.0]))
    p = [one.p for one in found.values()]
    assert [one.p_holm for one in found.values()] == pytest.approx(multipletests(p, method="holm")[1])
    for one in found.values():
        low, high = one.effect.interval(0.05 / 6)
        assert one.simultaneous == (pytest.approx(low), pytest.approx(high)) or low < 0 < high
        assert one.interval[0] >= one.simultaneous[0] or one.simultaneous[0] == 0
        if one.starred:
            assert one.simultaneous[0] >= 0 or one.simultaneous[1] <= 0


def test_one_seed_gives_no_star_and_is_not_counted() -> None:
    few = adjusted(effects([5.0] * 4, seeds=1))
    assert not any(one.starred or one.can_be_starred for one in few.values())
    assert np.isnan([x for one in few.values() for x in (*one.simultaneous, one.p_holm)]).all()
    mixed = adjusted(effects([1.0]) | {9: few[0].effect})
    assert mixed[0].p_holm == mixed[0].p


def test_five_subjects_and_two_seeds_cannot_be_significant_and_say_so() -> None:
    five = adjusted(effects([50.0], seeds=5, subjects=5))[0]
    assert five.p_holm < 0.05
    assert not five.starred
    assert not five.can_be_starred
    two = adjusted(effects([0.5] * 18, seeds=2))
    assert not any(one.can_be_starred for one in two.values())
    ten = adjusted(effects([0.0] * 18, seeds=10))
    assert all(one.can_be_starred for one in ten.values())


def test_a_method_against_itself_under_other_seeds_has_no_star() -> None:
    rng = np.random.default_rng(0)
    images = np.tile(rng.normal(20, 2, 60), (10, 1)) + simulated(rng, 10, [1] * 60, 0.5, 0, 0.5)
    own = table(images)
    pairs = {
        (i, j): effect(own[own["seed"] == i].assign(seed=0), own[own["seed"] == j].assign(seed=0), "m")
        for i in range(10)
        for j in range(i)
    }
    assert not any(one.starred for one in adjusted(pairs).values())
    halves = {}
    for k in range(20):
        order = np.random.default_rng(k).permutation(10)
        first, second = (own[own["seed"].isin(order[rows])] for rows in (slice(5), slice(5, 10)))
        named = [half.assign(seed=half["seed"].rank(method="dense")) for half in (first, second)]
        halves[k] = effect(*named, "m")
    assert sum(adjusted({0: one})[0].starred for one in halves.values()) <= 4
    assert relabelled(layout(own.assign(method="one"), ["one"], ["m"])).share < 0.15
