"""The verdict: clear, possible and unclear differences told apart, in the right direction."""

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
