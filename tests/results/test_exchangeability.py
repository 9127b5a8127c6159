"""The test between sites keeps its level with several images a subject, and finds sites that err more."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from ushydra_lab.results import exchangeability as module
from ushydra_lab.results.exchangeability import exchangeability

Table = tuple[list[float], list[int], list[int]]


def drawn(rng: np.random.Generator, subjects: list[int], images: list[int], worse: float = 1.0) -> Table:
    """|errors|, sites, subjects: of each subject a bias and noise; of the first site `worse` times as much."""
    errors: list[float] = []
    sites: list[int] = []
    names: list[int] = []
    for site, (people, each) in enumerate(zip(subjects, images, strict=True)):
        bias = rng.normal(size=(people, 1)) + rng.standard_t(3, (people, each))
        errors += list(np.abs(bias * (worse if site == 0 else 1)).ravel())
        sites += [site] * people * each
        names += list(np.repeat(np.arange(people), each))
    return errors, sites, names


@pytest.mark.parametrize(
    ("subjects", "images"),
    [([20, 20], [1, 1]), ([8, 60], [4, 4]), ([15, 40], [1, 8]), ([40, 15], [1, 8]), ([8] * 10, [2] * 10)],
)
def test_of_like_sites_one_in_20_is_told_apart(
    subjects: list[int], images: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 400 data sets 5 % are 20, with an SD of 4.4: also where a site has more images a subject."""
    monkeypatch.setattr(module, "PERMUTATIONS", 199)
    rng = np.random.default_rng(1)
    found = [exchangeability(*drawn(rng, subjects, images)) <= 0.05 for _ in range(400)]
    assert sum(found) < 20 + 3 * 4.4


def test_images_in_place_of_subjects_would_not_keep_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERMUTATIONS", 199)
    rng = np.random.default_rng(1)
    tables = [drawn(rng, [8, 8], [30, 30]) for _ in range(100)]
    wrong = sum(exchangeability(errors, sites, range(len(errors))) <= 0.05 for errors, sites, _ in tables)
    assert wrong > 20
    assert sum(exchangeability(*table) <= 0.05 for table in tables) < 5 + 3 * 2.2


def test_a_site_that_errs_twice_as_much_is_found_and_p_is_near_mann_and_whitneys() -> None:
    errors, sites, subjects = drawn(np.random.default_rng(0), [40, 40], [1, 1], worse=2)
    p = exchangeability(errors, sites, subjects)
    assert p < 0.01
    errors, sites, subjects = drawn(np.random.default_rng(3), [60, 60], [1, 1], worse=1.1)
    one, other = (np.array(errors)[np.array(sites) == site] for site in (0, 1))
    assert exchangeability(errors, sites, subjects) == pytest.approx(mannwhitneyu(one, other).pvalue, abs=0.03)


def test_the_order_of_rows_and_the_scale_of_errors_do_not_matter_and_few_subjects_have_no_p() -> None:
    errors, sites, subjects = (np.array(one) for one in drawn(np.random.default_rng(2), [9, 7, 5], [3, 2, 4]))
    order = np.random.default_rng(0).permutation(len(errors))
    p = exchangeability(errors, sites, subjects)
    assert exchangeability(errors[order] ** 3, sites[order], subjects[order]) == p
    few = subjects < np.array([3, 7, 3])[sites]
    assert np.isnan(exchangeability(errors[few], sites[few], subjects[few]))
    assert np.isnan(exchangeability([], [], []))
    assert exchangeability(np.ones(20), np.repeat([0, 1], 10), np.arange(20)) == 1
