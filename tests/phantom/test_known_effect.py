from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ushydra_lab.phantom.known_effect import METHODS, Trial, equal_methods, known_effect
from ushydra_lab.results.crossed import effect


def halves(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    first, second = (table[table["variant"] == method] for method in METHODS)
    return first, second


def test_the_report_s_comparison_finds_the_effect_that_is_there() -> None:
    trial = Trial(effect=0.8, sites=3, subjects=80, images=2, seeds=6)
    found = effect(*halves(known_effect(1, trial)), "value")
    low, high = found.interval()
    assert (found.subjects, found.seeds) == (240, 6)
    assert low < 0.8 < high
    assert low > 0
    assert found.change == pytest.approx(0.8, abs=4 * 0.2 * (2 / 6) ** 0.5)


def test_the_mean_difference_over_many_trials_is_the_effect_and_0_of_equal_methods() -> None:
    trial = Trial(subjects=10, seeds=3)
    for size in (0.0, -0.5):
        tables = (known_effect(seed, replace(trial, effect=size)) for seed in range(200))
        differences = [b["value"].mean() - a["value"].mean() for a, b in map(halves, tables)]
        assert np.mean(differences) == pytest.approx(size, abs=4 * np.std(differences) / 200**0.5)


def test_each_part_of_the_variance_is_as_asked() -> None:
    """Methods of moments: SDs of one part, the others being 0."""
    still = Trial(subjects=200, seeds=200, subject_sd=0, seed_sd=0, image_sd=0)
    of_seeds = equal_methods(0, replace(still, subjects=1, seed_sd=0.4)).groupby(["variant", "seed"])["value"].mean()
    assert of_seeds.std() == pytest.approx(0.4, rel=0.15)
    of_subjects = equal_methods(0, replace(still, seeds=1, subject_sd=2.0)).groupby("subject")["value"].mean()
    assert of_subjects.std() == pytest.approx(2.0, rel=0.2)
    assert equal_methods(0, replace(still, seeds=5, image_sd=0.3))["value"].std() == pytest.approx(0.3, rel=0.1)
    sites = known_effect(0, replace(still, sites=200, subjects=1, seeds=1, effect=1.0, site_sd=0.5))
    first, second = halves(sites)
    effects = second["value"].to_numpy() - first["value"].to_numpy()
    assert (effects.mean(), effects.std()) == pytest.approx((1.0, 0.5), rel=0.2)


def test_images_of_a_subject_are_paired_between_methods_and_seeds() -> None:
    trial = Trial(subjects=4, images=3, seeds=2, seed_sd=0, image_sd=0)
    table = equal_methods(3, trial)
    assert len(table) == 2 * 2 * 4 * 3
    assert not table.duplicated(["variant", "seed", "record"]).any()
    assert (table.groupby("record")["value"].nunique() == 1).all()
    assert (table.groupby(["site", "subject"])["record"].nunique() == 3).all()


def test_the_same_seed_gives_the_same_table_and_equal_methods_have_no_effect() -> None:
    pd.testing.assert_frame_equal(equal_methods(5), equal_methods(5))
    assert not equal_methods(5)["value"].equals(equal_methods(6)["value"])
    with pytest.raises(ValueError, match="no effect"):
        equal_methods(0, Trial(effect=0.1))
