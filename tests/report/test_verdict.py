"""The verdict: clear, possible and unclear differences told apart, in the right direction."""

import re

import numpy as np
import pandas as pd
import pytest

from ushydra_lab.report.comparisons import compare_sites
from ushydra_lab.report.verdict import amount, verdict
from ushydra_lab.tasks.column import Metric


def images_of(gains: dict[str, float], seeds: int = 4, noise: float = 0.01) -> pd.DataFrame:
    rng, tables = np.random.default_rng(0), []
    for method, gain in gains.items():
        for seed in range(seeds):
            value = 0.8 + gain + rng.normal(0, noise, 30)
            table = pd.DataFrame({"record": range(30), "subject": range(30), "site": "c", "dice_head": value})
            tables.append(table.assign(method=method, seed=seed, stage="train", part="test", held_out="c"))
    images = pd.concat(tables, ignore_index=True)
    return images.assign(stage=pd.Categorical(images["stage"], ["train"], ordered=True))


@pytest.mark.parametrize(
    ("gain", "words", "tone"),
    [
        (0.1, "b was better than a in Dice head: 0.098 higher (95 % interval 0.094 to 0.102 higher).", "good"),
        (-0.1, "no method was clearly better; b was worse than a in Dice head: 0.", "look"),
        (0.0, "no clear difference was found between a and b", "dim"),
    ],
)
def test_the_verdict_tells_better_from_worse_from_unclear(gain: float, words: str, tone: str) -> None:
    images = images_of({"a": 0.0, "b": gain})
    found = verdict("c", images, compare_sites({"c": images})["c"])
    assert words in found.headline
    assert found.tone == tone


def test_an_interval_that_does_not_survive_the_adjustment_is_only_possibly_a_difference() -> None:
    images = images_of({"a": 0.0, "b": 0.1})
    found = verdict("c", images, compare_sites({"c": images})["c"].assign(p_holm=0.2, starred=False))
    assert "no clear difference" in found.headline
    assert "b against a: possibly better in Dice head" in found.details[0]


def test_an_interval_from_zero_without_an_upper_end_is_told() -> None:
    ends = {"low": 0.0, "high": np.inf, "own_low": 0.0, "own_high": np.inf}
    row = pd.Series(ends | {"change": 5.0, "starred": False, "agrees": True, "change_imputed": np.nan})
    assert amount(row, Metric("Error", "lower", 2)) == "5.0 % higher (95 % interval 0.0 to any amount higher)"


def test_one_method_is_compared_with_nothing_and_its_values_are_told() -> None:
    found = verdict("c", images_of({"a": 0.0}, seeds=1), pd.DataFrame())
    assert "nothing" not in found.headline
    assert "no other method" in found.headline
    assert "Dice head ↑: 0.799" in found.details[0]


@pytest.mark.parametrize("held_out", ["official", "stratified", "each of 5 folds"])
def test_seen_sites_are_not_called_unseen(held_out: str) -> None:
    headline = verdict(held_out, images_of({"a": 0.0}), pd.DataFrame()).headline
    assert "a site that no method" not in headline


def test_a_method_is_judged_by_the_control_of_its_own_stage_not_by_the_stage_before() -> None:
    """All of a later stage beat the one before, which had less training."""
    images = images_of({"first": -0.3, "control": 0.0, "roi": 0.0})
    images["stage"] = images["stage"].cat.add_categories("later")
    images.loc[images["method"] != "first", "stage"] = "later"
    found = verdict("c", images, compare_sites({"c": images})["c"])
    assert "no clear difference was found between control and roi" in found.headline
    assert found.details[0].startswith("roi against control")
    assert "roi against first: better in" in " ".join(found.details)


def test_two_seeds_are_not_enough_to_be_sure() -> None:
    images = images_of({"a": 0.0, "b": 0.1}, seeds=2)
    found = verdict("c", images, compare_sites({"c": images})["c"])
    assert found.headline.startswith("As far as 2 seeds can tell: on c")
    assert "b was better than a" in found.headline
    assert found.tone == "dim"


CROSSES_ZERO = re.compile(r"interval [^;)]*(lower to [^;)]*higher|higher to [^;)]*lower)")


@pytest.mark.parametrize("seed", range(6))
def test_an_interval_that_contains_zero_is_called_neither_better_nor_possibly_better(seed: int) -> None:
    """Neither in the headline nor in the details, and the other way round."""
    gains = np.random.default_rng(seed).uniform(-0.004, 0.004, 4)
    images = images_of({"a": 0.0} | dict(zip("bcde", gains, strict=True)), noise=0.02)
    changes = compare_sites({"c": images})["c"]
    found = verdict("c", images, changes)
    called = [found.headline, *(part for line in found.details for part in line.split("; "))]
    assert not [
        part for part in called if re.search("better in|worse in|better than", part) and CROSSES_ZERO.search(part)
    ]
    rows = changes.set_index(["method", "against"])
    for line in found.details:
        row = rows.loc[tuple(re.findall(r"^(\w+) against (\w+):", line)[0])]
        clear = row["starred"] or row["own_low"] > 0 or row["own_high"] < 0
        assert ("no clear difference" in line) != clear


@pytest.mark.parametrize(("low", "high", "grade"), [
    (0.0, 0.2, "no clear difference in"), (-0.2, 0.0, "no clear difference in"), (1e-9, 0.2, "possibly better in"),
    (-0.1, 0.2, "no clear difference in"),
])  # fmt: skip
def test_an_interval_that_ends_at_zero_contains_it(low: float, high: float, grade: str) -> None:
    images = images_of({"a": 0.0, "b": 0.1})
    changes = compare_sites({"c": images})["c"].assign(starred=False, own_low=low, own_high=high)
    assert verdict("c", images, changes).details[0].startswith(f"b against a: {grade} Dice head")


def test_more_wins_do_not_make_up_for_losses_in_the_headline() -> None:
    """Of a method that is worse in something, as of one that only wins, each loss takes a win away."""
    images = images_of({"a": 0.0, "mixed": 0.1, "clean": 0.1})
    for column, mixed in (("dice_csp", 0.1), ("dice_lv", -0.1)):
        gain = images["method"].map({"a": 0.0, "mixed": mixed, "clean": 0.1 if column == "dice_csp" else 0.0})
        images[column] = images_of({"a": 0.0, "mixed": 0.0, "clean": 0.0})["dice_head"] + gain
    found = verdict("c", images, compare_sites({"c": images})["c"])
    assert "clean was better than a in Dice head and Dice csp" in found.headline
    assert found.tone == "good"
    alone = images[images["method"] != "clean"]
    found = verdict("c", alone, compare_sites({"c": alone})["c"])
    assert "mixed was better than a in Dice head and Dice csp, but worse in Dice lv" in found.headline
    assert found.tone == "look"


def test_where_none_is_better_the_one_that_is_worse_in_most_is_named() -> None:
    images = images_of({"a": 0.0, "b": -0.1, "c": -0.1})
    loss = images["method"].map({"a": 0.0, "b": 0.0, "c": -0.1})
    images["dice_csp"] = images_of({"a": 0.0, "b": 0.0, "c": 0.0})["dice_head"] + loss
    found = verdict("c", images, compare_sites({"c": images})["c"])
    assert "no method was clearly better; c was worse than a in Dice head and Dice csp" in found.headline
    assert found.tone == "look"
