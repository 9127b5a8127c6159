"""Power by two random numbers and two variances is that of simulated images."""

import numpy as np
import pytest

from ushydra_lab.results.crossed import effect_of
from ushydra_lab.results.power import Variances, detectable, power, seeds_needed, subjects_needed

SUBJECTS = 24
TRUTH = Variances(seeds=0.04, subjects=1.0 / SUBJECTS, residual=0.5 / SUBJECTS, subject_freedom=SUBJECTS - 1)
"""Seed SD 0.2, subject SD 1, residual variance 0.5, of a mean over 24 subjects."""


def differences(rng: np.random.Generator, seeds: int, change: float) -> np.ndarray:
    by_seed, by_subject = rng.normal(0, 0.2, (seeds, 1)), rng.normal(0, 1, (1, SUBJECTS))
    return change + by_seed + by_subject + rng.normal(0, np.sqrt(0.5), (seeds, SUBJECTS))


@pytest.mark.parametrize(("seeds", "change"), [(3, 1.5), (5, 1.0), (8, 0.6), (5, 0.0)])
def test_power_is_how_often_simulated_images_are_significant(seeds: int, change: float) -> None:
    rng, trials, ones = np.random.default_rng(0), 600, np.ones((seeds, SUBJECTS))
    found = 0
    for _ in range(trials):
        low, high = effect_of(0 * ones, differences(rng, seeds, change), ones, 9.0).interval()
        found += low > 0 or high < 0
    assert power(TRUTH, change, seeds) == pytest.approx(found / trials, abs=0.06)


def test_power_to_show_that_methods_are_alike() -> None:
    rng, trials, ones = np.random.default_rng(0), 600, np.ones((6, SUBJECTS))
    found = 0
    for _ in range(trials):
        low, high = effect_of(0 * ones, differences(rng, 6, 0.0), ones, 9.0).interval(0.1)
        found += low > -0.8 and high < 0.8
    assert power(TRUTH, 0.8, 6, alpha=0.1, within=True) == pytest.approx(found / trials, abs=0.06)


@pytest.mark.parametrize("within", [False, True])
def test_what_is_detectable_has_power_080_and_its_seeds_are_those_needed(within: bool) -> None:
    for seeds in (3, 5, 10):
        least = detectable(TRUTH, seeds, within=within)
        assert power(TRUTH, least, seeds, within=within) == pytest.approx(0.8, abs=0.002)
        assert seeds_needed(TRUTH, least * 1.001, within=within) == seeds
        needed = subjects_needed(TRUTH, SUBJECTS, least * 1.05, seeds, within=within)
        assert needed is not None
        assert needed <= SUBJECTS


def test_variances_that_are_measured_are_those_of_the_truth() -> None:
    rng, ones = np.random.default_rng(0), np.ones((5, SUBJECTS))
    found = [Variances.of(effect_of(0 * ones, differences(rng, 5, 0.0), ones, 9.0)) for _ in range(400)]
    assert np.mean([one.residual for one in found]) == pytest.approx(TRUTH.residual, rel=0.05)
    assert np.mean([one.subjects for one in found]) == pytest.approx(TRUTH.subjects, rel=0.1)
    assert np.mean([one.seeds for one in found]) == pytest.approx(TRUTH.seeds, rel=0.1)


def test_seeds_cannot_replace_subjects_nor_subjects_seeds() -> None:
    assert seeds_needed(TRUTH, 0.1) is None
    assert subjects_needed(TRUTH, SUBJECTS, 0.1, 3) is None
    assert subjects_needed(TRUTH, SUBJECTS, 0.6, 6) is not None
    assert power(TRUTH, 100, 1) == 0
    assert detectable(TRUTH, 1) == np.inf
