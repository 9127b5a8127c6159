"""The simulation behind `benchmark --only evidence` tests what the lab tests."""

import numpy as np
import pytest

from ushydra_lab.benchmark.evidence import CASES
from ushydra_lab.benchmark.null_tables import CLUSTERED, TAKEN, Tables, drawn, false_stars, found_effects, holm_steps, worst  # fmt: skip
from ushydra_lab.benchmark.null_tables import tests as candidates
from ushydra_lab.results.crossed import effect_of
from ushydra_lab.results.statistics import holm


def test_the_test_that_was_taken_is_the_labs() -> None:
    what = Tables(2, 3)
    (case, _, _, found), *_ = drawn(what, [(0.2, 1.0)], 1)
    assert case == (0.2, 1.0)
    counts = np.broadcast_to(CLUSTERED.astype(float), (3, 60))
    for alpha in (0.3, 0.05):
        taken = candidates(found, alpha)[TAKEN]
        assert 0 < taken.mean() < 1
        variances = found.seeds[:5], found.subjects[:5] - found.residual[:5]
        assert taken[:5].shape == variances[0].shape
    rng = np.random.default_rng(0)
    totals = rng.normal(0.2, 1, (3, 60)) * counts
    one = effect_of(0 * counts, totals, counts, 9.0)
    assert one.freedom == found.freedoms


@pytest.mark.parametrize("seed", range(5))
def test_holm_by_steps_is_holm_by_p(seed: int) -> None:
    p = np.random.default_rng(seed).uniform(0, 0.03, (40, 6)) ** 1.3
    levels = 0.05 / (6 - np.arange(6))
    first = np.array([[next((i for i, level in enumerate(levels) if x < level), np.inf) for x in row] for row in p])
    assert (holm_steps(first) == np.array([np.array(holm(row.tolist())) < 0.05 for row in p])).all()


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_level_is_kept(seeds: int) -> None:
    """Within three standard errors of 5 %; Satterthwaite's degrees of freedom do not keep it."""
    found = false_stars(Tables(2, seeds), CASES, 1000)
    assert worst(found, TAKEN) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)
    assert worst(found, "Satterthwaite's df") > 0.06


def test_more_seeds_find_more() -> None:
    few, many = (found_effects(Tables(2, seeds, gain=1.0), (0.2, 1.0), 250)[TAKEN] for seeds in (3, 10))
    assert few < 0.3
    assert many > 0.9
