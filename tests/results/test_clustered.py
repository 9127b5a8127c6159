"""Figures of clustered images agree with those of independent ones where there is one image of a subject."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_1samp
from sklearn.metrics import roc_auc_score

from ushydra_lab.results.clustered import (
    area_of_images,
    balanced,
    clustered_auroc,
    clustered_calibration,
    clustered_mean,
    clustered_share,
)
from ushydra_lab.results.crossed import effect


@settings(deadline=None)
@given(st.integers(2, 60), st.data())
def test_a_share_has_at_least_the_exact_interval_and_repeats_are_no_new_subjects(n: int, data: st.DataObject) -> None:
    hits = np.array(data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    once = clustered_share(hits, np.arange(n))
    exact = binomtest(int(hits.sum()), n).proportion_ci()
    assert (once.low, once.high) == (pytest.approx(exact.low, abs=1e-6), pytest.approx(exact.high, abs=1e-6))
    copied = clustered_share(np.repeat(hits, 6), np.repeat(np.arange(n), 6))
    assert (copied.value, copied.images, copied.subjects) == (once.value, 6 * n, n)
    assert copied.high - copied.low == pytest.approx(once.high - once.low, abs=1e-6)


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_the_area_is_sklearns_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score, truth = rng.integers(0, 6, 40), rng.permutation(np.arange(40) % 2)
    found = clustered_auroc(score, truth, np.arange(40) // 2)
    assert found.value == pytest.approx(roc_auc_score(truth, score))
    assert found.low <= found.value <= found.high
    mirrored = clustered_auroc(-score, truth, np.arange(40) // 2)
    assert (1 - mirrored.high, 1 - mirrored.low) == (pytest.approx(found.low), pytest.approx(found.high))


def test_independent_images_have_delongs_variance() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(400) % 2
    score = rng.normal(truth, 1)
    found = clustered_auroc(score, truth, np.arange(400))
    kernel = (score[truth == 1][:, None] > score[truth == 0]).astype(float)
    delong = kernel.mean(1).var(ddof=1) / 200 + kernel.mean(0).var(ddof=1) / 200
    logit = np.log(found.high / (1 - found.high)) - np.log(found.value / (1 - found.value))
    assert logit * found.value * (1 - found.value) / 1.972 == pytest.approx(np.sqrt(delong), rel=0.01)


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_areas_are_compared_as_means_are_with_delongs_variance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(40) % 4 == 0)
    scores = rng.normal(truth, 1), rng.integers(0, 6, 40)
    values = [area_of_images(score, truth) for score in scores]
    for score, own in zip(scores, values, strict=True):
        assert own.mean() == pytest.approx(roc_auc_score(truth, score))
    kernels = [(s[truth][:, None] > s[~truth]) + 0.5 * (s[truth][:, None] == s[~truth]) for s in scores]
    parts = [(kernel.mean(1), kernel.mean(0)) for kernel in kernels]
    delong = sum(np.var(parts[0][k] - parts[1][k]) / size for k, size in ((0, 10), (1, 30)))
    weight, change = balanced(truth), values[0] - values[1]
    assert (weight[truth].sum(), weight[~truth].sum()) == (pytest.approx(20), pytest.approx(20))
    assert (weight**2 * (change - change.mean()) ** 2).sum() / 40**2 == pytest.approx(delong)
    assert np.isnan([area_of_images(scores[0], np.ones(40)), balanced(np.ones(40))]).all()


@pytest.mark.parametrize(("ones", "zeros"), [(5, 100), (12, 12)])
def test_equal_areas_of_few_images_of_one_class_are_seldom_told_apart(ones: int, zeros: int) -> None:
    rng, truth, p = np.random.default_rng(0), np.arange(ones + zeros) < ones, []
    who = {"site": truth.astype(str), "subject": np.arange(len(truth)), "record": np.arange(len(truth))}
    for _ in range(300):
        base = rng.normal(truth, 1)
        tables = []
        for _ in range(2):
            own = base + rng.normal(0, 0.7, len(truth))
            scores = [own + rng.normal(0, 0.02, len(truth)) for _ in range(3)]
            runs = [
                pd.DataFrame(who | {"seed": k, "area": area_of_images(of, truth), "weight": balanced(truth)})
                for k, of in enumerate(scores)
            ]
            tables.append(pd.concat(runs))
        p.append(effect(*tables, "area", most=1.0, weight="weight").p())
    assert np.mean(np.array(p) < 0.05) < 0.08  # 0.11 of 5 images against 100, if all count alike


def test_classes_without_overlap_have_an_interval_of_the_subjects() -> None:
    found = clustered_auroc(np.arange(24), np.arange(24) >= 12, np.repeat(np.arange(8), 3))
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(0.025 ** (1 / 4))


def test_what_has_no_interval() -> None:
    assert np.isnan(clustered_share([1, 0, 1], ["a", "a", "a"]).low)
    assert np.isnan(clustered_share([], []).value)
    assert np.isnan(clustered_auroc([1, 2, 3], [1, 1, 1], [0, 1, 2]).value)
    one = clustered_auroc([1.0, 3, 2, 4], [0, 0, 1, 1], ["a", "b", "c", "c"])
    assert one.value == 0.75
    assert np.isnan(one.low)
    assert np.isnan(clustered_calibration([0.5, 0.6], [1, 0], ["a", "a"]).value)


def test_calibration_error_is_the_mean_gap_of_ten_bins() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.permutation(np.linspace(0.5, 0.99, 200))
    correct = rng.random(200) < confidence - 0.1
    order = np.argsort(confidence)
    gaps = [abs((confidence[part] - correct[part]).mean()) for part in np.array_split(order, 10)]
    found = clustered_calibration(confidence, correct, np.arange(200) // 4)
    assert found.value == pytest.approx(np.mean(gaps))
    assert found.low <= 0.1 <= found.high


def test_a_bin_of_one_subject_leaves_no_interval_of_the_calibration_error() -> None:
    few = clustered_calibration([0.5, 0.6, 0.7, 0.8], [1, 0, 1, 1], ["a", "b", "c", "d"])
    assert few.value == pytest.approx((0.5 + 0.6 + 0.3 + 0.2) / 4)
    assert np.isnan([few.low, few.high]).all()


def test_unknown_values_are_left_out() -> None:
    whole = clustered_share([1, 0, 1, 0], [0, 0, 1, 2])
    assert clustered_share([1, np.nan, 0, 1, 0], [0, 0, 0, 1, 2]) == whole


def test_the_mean_of_single_images_has_students_interval_and_repeats_are_no_new_subjects() -> None:
    values = np.random.default_rng(0).normal(2, 1, 12)
    once = clustered_mean(values, np.arange(12))
    copied = clustered_mean(np.repeat(values, 5), np.repeat(np.arange(12), 5))
    student = ttest_1samp(values, 0).confidence_interval()
    assert (once.value, once.low, once.high) == pytest.approx((values.mean(), student.low, student.high))
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))
    assert np.isnan(clustered_mean([1.0, 2.0], ["a", "a"]).low)
