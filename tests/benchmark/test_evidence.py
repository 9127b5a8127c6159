"""The simulation behind `benchmark --only evidence` tests what the lab tests."""

import numpy as np
import pytest

from ushydra_lab.benchmark.evidence import CASES
from ushydra_lab.benchmark.null_tables import (
    CLUSTERED,
    TAKEN,
    Parts,
    Tables,
    drawn,
    false_stars,
    found_effects,
    holm_steps,
    worst,
)
from ushydra_lab.benchmark.null_tables import tests as candidates
from ushydra_lab.results.crossed import effect_of
from ushydra_lab.results.family import holm


def test_the_test_that_was_taken_is_the_labs() -> None:
    rng = np.random.default_rng(0)
    counts = np.broadcast_to(CLUSTERED.astype(float), (3, 60))
    totals = (rng.normal(0, 0.1, (40, 3, 1)) + rng.normal(0.24, 1, (40, 3, 60))) * counts
    effects = [effect_of(0 * counts, one, counts, 9.0) for one in totals]
    variances = np.array([one.variances() for one in effects]).T
    change, none = np.array([one.change for one in effects]), np.zeros(40)
    parts = Parts(change, variances[0], variances[1], none, effects[0].freedom, totals[:, 0], none + 1, 4)
    for alpha in (0.4, 0.2, 0.05):
        taken = candidates(parts, alpha)[TAKEN]
        assert taken.tolist() == [one.p() < alpha for one in effects]
        assert 0 < taken.mean() < 1


def test_simulated_tables_have_the_variances_that_were_asked_for() -> None:
    counts = CLUSTERED / CLUSTERED.sum()
    found = [part for *_, part in drawn(Tables(2, 4), [(0.3, 1.0)], 500)]
    residual = 2 * 0.25 * (counts**2 / CLUSTERED).sum() / 4
    assert np.mean([part.seeds for part in found]) == pytest.approx(2 * 0.09 / 4 + residual, rel=0.05)
    assert np.mean([part.subjects for part in found]) == pytest.approx((counts**2).sum() + residual, rel=0.05)
    assert np.mean([part.residual for part in found]) == pytest.approx(residual, rel=0.05)
    assert np.mean([part.pooled for part in found]) == pytest.approx(2 * 0.09 / 4 + residual, rel=0.05)


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
