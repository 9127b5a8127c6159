"""The false-positive rate of a user's own runs is that of tables simulated image by image and tested one by one."""

import numpy as np
import pandas as pd
import pytest

from ushydra_lab.results.crossed import Common, effect_on
from ushydra_lab.results.family import adjusted
from ushydra_lab.results.rates import false_positives, layout, relabelled

from .image_tables import table

METHODS, METRICS, PAIRS = ["control", "a", "b"], ["m", "k"], [(1, 0), (2, 0), (2, 1)]
COUNTS = [1, 2, 5, 1, 3] * 3


def runs(rng: np.random.Generator, seeds: int, seed_sd: float, response: float, shift: float = 0.0) -> pd.DataFrame:
    """Images of three methods, whose seeds and subjects' responses move the two metrics alike."""
    who = np.repeat(np.arange(len(COUNTS)), COUNTS)
    subject, tables = rng.normal(20, 2, len(COUNTS))[who], []
    for place, method in enumerate(METHODS):
        shared = rng.normal(0, seed_sd, (seeds, 1)) + rng.normal(0, response, len(COUNTS))[who] + place * shift
        m, k = (subject + shared + rng.normal(0, 0.5, (seeds, len(who))) for _ in METRICS)
        tables.append(table(m, COUNTS).assign(k=table(k, COUNTS)["m"], method=method))
    return pd.concat(tables, ignore_index=True)


def starred(images: pd.DataFrame) -> bool:
    sides = {name: images[images["method"] == name] for name in METHODS}
    both = {(b, a): Common(sides[METHODS[a]], sides[METHODS[b]]) for b, a in PAIRS}
    found = {(*pair, m): effect_on(common.of(m)) for pair, common in both.items() for m in METRICS}
    return any(one.starred for one in adjusted(found).values())


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "seed_sd", "response"), [(5, 0.5, 0.0), (4, 0.2, 0.5)])
def test_the_rate_is_that_of_an_independent_simulation(seeds: int, seed_sd: float, response: float) -> None:
    rng = np.random.default_rng(0)
    own = layout(runs(rng, seeds, seed_sd, response), METHODS, METRICS)
    found = false_positives([own], PAIRS)
    slow = np.mean([starred(runs(rng, seeds, seed_sd, response)) for _ in range(150)])
    assert found.tables == 2000
    assert found.share <= 0.06
    assert found.share == pytest.approx(slow, abs=0.04)


def test_simulated_tables_have_the_variances_of_the_runs() -> None:
    """Measured again in tables drawn from a layout of many seeds, the covariances are those of the layout."""
    own = layout(runs(np.random.default_rng(0), 8, 0.5, 0.7), METHODS, METRICS)
    of_seeds = own.by_seed @ own.by_seed.T
    assert np.trace(of_seeds) / 6 == pytest.approx(0.25, rel=0.6)
    first, second = of_seeds[0, 1], np.sqrt(of_seeds[0, 0] * of_seeds[1, 1])
    assert first / second > 0.7  # a seed moves both metrics of a method alike
    of_subjects = own.by_subject @ own.by_subject.T
    difference = np.array([-1, 0, 1, 0, 0, 0])
    assert difference @ of_subjects @ difference == pytest.approx(2 * 0.49, rel=0.6)


def test_a_true_effect_does_not_change_the_rate() -> None:
    rng = np.random.default_rng(0)
    own = layout(runs(rng, 5, 0.2, 0.3, shift=5.0), METHODS, METRICS)
    assert false_positives([own], PAIRS, tables=500).share <= 0.06


def test_one_seed_and_five_subjects_have_no_false_stars() -> None:
    rng = np.random.default_rng(0)
    one = layout(runs(rng, 1, 0.5, 0.0), METHODS, METRICS)
    few = runs(rng, 5, 0.5, 0.0)
    five = layout(few[few["subject"].isin([f"s{j}" for j in range(5)])], METHODS, METRICS)
    assert false_positives([one, five], PAIRS, tables=100).starred == 0


def test_several_sites_are_one_family_and_a_site_may_lack_seeds() -> None:
    rng = np.random.default_rng(0)
    whole = layout(runs(rng, 5, 0.4, 0.2), METHODS, METRICS)
    images = runs(rng, 5, 0.4, 0.2)
    lacking = images[~((images["method"] == "b") & (images["seed"] > 2))]
    partly = layout(lacking, METHODS, METRICS)
    assert partly.counts.shape[2] == 3
    alone, together = false_positives([whole], PAIRS), false_positives([whole, partly], PAIRS)
    assert together.share <= 0.06
    assert alone.interval[0] <= alone.share <= alone.interval[1]


def test_images_that_a_method_lost_are_left_out_for_all() -> None:
    images = runs(np.random.default_rng(0), 3, 0.4, 0.2)
    images.loc[(images["method"] == "a") & (images["record"] == 0), "m"] = np.nan
    own = layout(images, METHODS, METRICS)
    assert own.counts[:, 0].sum() == 3 * 3 * (sum(COUNTS) - 1)
    assert own.counts[:, 1].sum() == 3 * 3 * sum(COUNTS)
    assert np.isfinite(own.by_both).all()


def test_relabelled_seeds_of_one_method_are_a_check_that_needs_four() -> None:
    images = runs(np.random.default_rng(0), 10, 0.5, 0.0)
    assert relabelled(layout(images, METHODS, METRICS)).share < 0.1
    few = layout(images[images["seed"] < 3], METHODS, METRICS)
    assert np.isnan(relabelled(few).share)
