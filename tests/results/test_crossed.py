"""The comparison over crossed seeds and subjects agrees with other software, matrices, and brute force."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, ttest_1samp, ttest_rel
from statsmodels.formula.api import mixedlm, ols
from statsmodels.stats.anova import anova_lm

from ushydra_lab.results.crossed import Effect, effect, effect_of, freedom, two_sided

from .image_tables import simulated, table


def compared(difference: np.ndarray, images: int | list[int] = 1, relative: bool = False) -> Effect:
    base = 5 + np.random.default_rng(1).normal(0, 0.5, difference.shape)
    return effect(table(base, images), table(base + difference, images), "m", relative)


def test_variances_of_fifty_tables_are_those_of_statsmodels_analysis_of_variance() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        seeds, subjects = int(rng.integers(2, 6)), int(rng.integers(4, 15))
        values = simulated(rng, seeds, [1] * subjects, 0.3, 0.5, 1.0)
        found = compared(values)
        long = table(values)
        squares = anova_lm(ols("m ~ C(seed) + C(subject)", long).fit())["mean_sq"] / values.size
        residual = squares["Residual"]
        of_seeds, of_subjects = found.variances()
        assert of_seeds == pytest.approx(max(squares["C(seed)"], residual))
        assert of_subjects == pytest.approx(max(squares["C(subject)"] - residual, 0), abs=1e-12)
        assert found.freedom == (pytest.approx(seeds - 1), pytest.approx(subjects - 1))


def test_variances_are_those_of_a_mixed_model_with_crossed_random_effects() -> None:
    """Restricted maximum likelihood is the analysis of variance where that has no negative estimate."""
    rng = np.random.default_rng(3)
    values = simulated(rng, 6, [1] * 12, 1.0, 1.0, 0.5)
    long = table(values).assign(all=1)
    parts = {"seed": "0 + C(seed)", "subject": "0 + C(subject)"}
    model = mixedlm("m ~ 1", long, groups="all", vc_formula=parts, re_formula="0").fit(reml=True)
    seed, subject = (float(model.vcomp[model.model.exog_vc.names.index(name)]) for name in parts)
    of_seeds, of_subjects = compared(values).variances()
    assert of_seeds == pytest.approx(seed / 6 + model.scale / 72, rel=0.01)
    assert of_subjects == pytest.approx(subject / 12, rel=0.01)


def test_without_any_difference_between_seeds_it_is_the_paired_test_of_the_subjects() -> None:
    per_subject = np.random.default_rng(0).normal(0.3, 1, 20)
    found = compared(np.tile(per_subject, (3, 1)))
    reference = ttest_1samp(per_subject, 0)
    assert found.p() == pytest.approx(reference.pvalue)
    assert found.interval() == pytest.approx(tuple(reference.confidence_interval()))


def test_without_any_difference_between_subjects_it_is_the_paired_test_of_the_seeds() -> None:
    per_seed = np.random.default_rng(0).normal(0.3, 1, (4, 1))
    found = compared(np.tile(per_seed, (1, 30)))
    assert found.p() == pytest.approx(ttest_rel(per_seed[:, 0] + 1, np.ones(4)).pvalue)


def test_the_mean_follows_images_and_repeated_images_are_no_new_subjects() -> None:
    rng = np.random.default_rng(0)
    values = simulated(rng, 3, [1, 5, 2, 2], 0.1, 1.0, 0.2)
    found = compared(values, [1, 5, 2, 2])
    assert found.change == pytest.approx(values.mean())
    assert (found.subjects, found.images, found.seeds) == (4, 10, 3)
    copied = compared(np.repeat(simulated(np.random.default_rng(5), 3, [1] * 8, 0.1, 1, 0.2), 6, axis=1), 6)
    once = compared(simulated(np.random.default_rng(5), 3, [1] * 8, 0.1, 1, 0.2))
    assert copied.p() == pytest.approx(once.p())


@given(st.lists(st.integers(1, 30), min_size=2, max_size=8))
def test_degrees_of_freedom_are_bell_and_mccaffreys_by_matrices(counts: list[int]) -> None:
    weights = np.array(counts) / sum(counts)
    n = len(counts)
    centre = np.eye(n) - np.outer(np.ones(n), weights)
    scale = np.diag(weights**2 / np.diag(centre @ centre.T))
    form = centre.T @ scale @ centre
    assert np.trace(form) == pytest.approx((weights**2).sum())  # unbiased for equally variable subjects
    assert freedom(weights) == pytest.approx(np.trace(form) ** 2 / np.trace(form @ form))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([0.05, 0.01, 0.001]))
def test_the_interval_holds_the_changes_that_are_not_refused(seed: int, relative: bool, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 6, 9).tolist()
    found = compared(0.3 + simulated(rng, 4, counts, 0.2, 0.3, 0.3), counts, relative)
    low, high = found.interval(alpha)
    for end in (low, high):
        if np.isfinite(end) and end > -100:
            assert found.p(end) == pytest.approx(alpha, rel=1e-4)
    assert (low <= 0 <= high) == (found.p() >= alpha)
    for inside in np.linspace(max(low, -99), min(high, 1e4), 7)[1:-1]:
        assert found.p(float(inside)) >= alpha


def test_a_base_that_may_be_zero_gives_no_bounded_ratio() -> None:
    base = table(np.random.default_rng(0).normal(0.2, 1, (3, 8)))
    found = effect(base, base.assign(m=np.random.default_rng(1).normal(1, 1, 24)), "m", relative=True)
    assert found.interval() == (-100, np.inf)


@pytest.mark.parametrize("relative", [False, True])
def test_the_same_values_differ_by_nothing_however_uncertain_their_mean(relative: bool) -> None:
    """Two methods of one training: also where the mean may be 0, of which no change is known in per cent."""
    base = table(np.random.default_rng(0).normal(0.2, 1, (3, 8)))
    assert effect(base, base, "m", relative).interval() == (0, 0)


def test_one_seed_and_one_subject_have_neither_interval_nor_p() -> None:
    rng = np.random.default_rng(0)
    for shape in ((1, 30), (5, 1)):
        found = compared(rng.normal(5, 0.01, shape))
        assert np.isnan([found.p(), *found.interval(), found.smallest_p]).all()
        assert found.change == pytest.approx(5, abs=0.1)


def test_the_images_of_one_subject_cannot_decide() -> None:
    """50 of 60 images are of one subject, in whom the method works."""
    counts = [50] + [1] * 10
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(11), counts)
    values = np.where(who == 0, 1.0, 0.0) + rng.normal(0, 0.1, (5, 60))
    found = compared(values, counts)
    assert found.change == pytest.approx(50 / 60, abs=0.02)
    assert found.subject_freedom < 2
    assert found.p() > 0.05


def test_seeds_are_counted_as_pairs() -> None:
    values = np.random.default_rng(0).normal(0, 1, (4, 10))
    a, b = table(values, seeds=[0, 1, 2, 3]), table(values + 1, seeds=[2, 3, 4, 5])
    assert effect(a, b, "m").seeds == 2
    assert effect(a, b[b["seed"] > 3], "m").seeds == 0


def test_equal_values_have_no_p_and_an_equal_shift_a_p_of_zero() -> None:
    assert np.isnan(two_sided(0.0, (0.0, 0.0), (3, 9)))
    assert two_sided(1.0, (0.0, 0.0), (3, 9)) == 0
    assert two_sided(0.0, (1.0, 0.0), (3, 9)) == pytest.approx(1)
    assert isinstance(pd.Series([two_sided(1e9, (1e-9, 1.0), (1.0, 59.0))]).iloc[0], float)


@pytest.mark.parametrize("seeds", [2, 3])
def test_seeds_that_differ_by_nothing_in_a_share_make_no_star(seeds: int) -> None:
    """A 0/1 metric of few seeds often has equal counts in all of them: a variance of 0 by chance, not in truth."""
    rng, small, equal = np.random.default_rng(seeds), 0, 0
    for _ in range(300):
        subject = rng.standard_normal(40)
        first, second = (
            (0.7 * subject + 0.714 * rng.standard_normal((seeds, 40)) > norm.isf(0.03)).astype(float) for _ in range(2)
        )
        found = effect_of(first, second, np.ones((seeds, 40)), 1.0)
        equal += len(set((second - first).sum(1))) == 1
        small += found.p() < 0.05
    assert equal > 20
    assert small <= 0.05 * 300
