"""Fits and ratios of measurements."""

import pytest
import torch

from ushydra_lab.benchmark.rows import Row
from ushydra_lab.benchmark.timing import Quartiles, growth_exponent, interleaved, ratio_quartiles


@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_the_exponent_is_the_power_that_times_follow(power: float) -> None:
    sizes = [10, 30, 300]
    assert growth_exponent(sizes, [7 * size**power for size in sizes]) == pytest.approx(power)


def test_works_are_warmed_up_once_and_then_taken_in_turns() -> None:
    calls: list[str] = []
    works = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    times = interleaved(works, 3, torch.device("cpu"))
    assert "".join(calls) == "ab" * 4
    assert {name: len(taken) for name, taken in times.items()} == {"a": 3, "b": 3}


def test_a_ratio_is_that_of_neighbours_so_a_slow_spell_that_both_share_leaves_it_alone() -> None:
    assert ratio_quartiles([2, 20, 200], [1, 10, 100]) == Quartiles(2, 2, 2)


@pytest.mark.parametrize(
    ("aim", "met"),
    [({"at_least": 2}, True), ({"at_least": 2.1}, False), ({"at_most": 2}, True), ({"at_most": 1}, False), ({}, None)],
)
def test_an_aim_is_met_by_the_ratio_where_there_is_one(aim: dict[str, float], met: bool | None) -> None:
    row = Row("part", "what", "size", Quartiles.exact(9), "s", "other", Quartiles.exact(18), Quartiles.exact(2), **aim)
    assert row.met is met
