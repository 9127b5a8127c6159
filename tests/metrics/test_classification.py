"""Scores agree with scikit-learn where it has one, and an absent class is no class rather than a zero."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from ushydra_lab.metrics.classification import class_scores, classification_scores, confusion_matrix

MEANS = ("macro", "weighted")


def sample(count=80, classes=4, absent=(), levels=None, seed=0):
    """True codes and probabilities that lean towards them; `levels` rounds these, so that there are ties."""
    rng = np.random.default_rng(seed)
    true = rng.choice([k for k in range(classes) if k not in absent], count)
    chances = rng.random((count, classes)) + 0.5 * np.eye(classes)[true]
    if levels:
        chances = np.round(chances * levels) / levels
    return true, chances


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [None, 3])
def test_with_all_classes_present_every_score_is_scikit_learns(seed, levels):
    true, chances = sample(levels=levels, seed=seed)
    rows = chances / chances.sum(1, keepdims=True)
    pred, scores = rows.argmax(1), classification_scores(true, rows)
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(true, pred))
    for mean in MEANS:
        found = [scores[f"{name}_{mean}"] for name in ("precision", "recall", "f1")]
        assert found == pytest.approx(metrics.precision_recall_fscore_support(true, pred, average=mean)[:3])
        auc = metrics.roc_auc_score(true, rows, multi_class="ovr", average=mean)
        assert scores[f"auc_{mean}"] == pytest.approx(auc)


@pytest.mark.parametrize("seed", range(5))
def test_means_over_present_classes_are_scikit_learns_over_these_labels(seed):
    true, chances = sample(absent=(1, 3), seed=seed)
    pred, scores = chances.argmax(1), classification_scores(true, chances)
    assert {1, 3} & set(pred), "absent classes are predicted too"
    for mean in MEANS:
        expected = metrics.precision_recall_fscore_support(true, pred, labels=[0, 2], average=mean)[:3]
        assert [scores[f"{name}_{mean}"] for name in ("precision", "recall", "f1")] == pytest.approx(expected)


def test_an_absent_class_has_no_score_and_pulls_no_mean_down():
    true, chances = sample(absent=(1,))
    per_class = class_scores(true, chances)
    for name in ("precision", "recall", "f1", "auc"):
        assert np.isnan(per_class[name]).tolist() == [False, True, False, False]
        assert classification_scores(true, chances)[f"{name}_macro"] == pytest.approx(np.nanmean(per_class[name]))
    assert per_class["support"].tolist() == [(true == k).sum() for k in range(4)]


def test_a_class_that_is_present_but_never_predicted_has_precision_zero():
    true, chances = np.array([0, 0, 1, 1]), np.array([[0.9, 0.1]] * 4)
    scores = class_scores(true, chances)
    assert scores["precision"].tolist() == [0.5, 0.0]
    assert scores["recall"].tolist() == [1.0, 0.0]


def test_a_single_class_has_no_auc():
    scores = classification_scores([1, 1, 1], [[0.2, 0.8], [0.3, 0.7], [0.6, 0.4]])
    assert np.isnan(scores["auc_macro"])
    assert scores["accuracy"] == scores["recall_macro"] == pytest.approx(2 / 3)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([1, 2, 4]))
def test_the_auc_is_the_share_of_pairs_in_order_ties_counting_half(seed, levels):
    true, chances = sample(count=25, levels=levels, seed=seed)
    found = class_scores(true, chances)["auc"]
    for k in range(4):
        inside, outside = chances[true == k, k], chances[true != k, k]
        if len(inside) and len(outside):
            above = np.sign(inside[:, None] - outside[None]) / 2 + 0.5
            assert found[k] == pytest.approx(above.mean())


def test_of_equal_probabilities_the_lowest_code_is_predicted():
    assert classification_scores([0, 1], [[0.5, 0.5], [0.5, 0.5]])["accuracy"] == 0.5
    assert class_scores([0, 1], [[0.5, 0.5], [0.5, 0.5]])["recall"].tolist() == [1, 0]


def test_rows_of_the_confusion_matrix_are_the_truth_and_absent_classes_keep_their_place():
    matrix = confusion_matrix([0, 0, 2, 2, 2], [0, 1, 2, 2, 0], 4)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("true", "chances", "message"),
    [
        ([0, -1], [[0.5, 0.5]] * 2, r"below 2.*found \[-1\]"),
        ([0, 2], [[0.5, 0.5]] * 2, r"found \[2\]"),
        ([0], [[0.5, 0.5]] * 2, r"\(1,\) and \(2, 2\)"),
        ([0, 1], [[0.5, np.nan]] * 2, r"not finite in rows \[0 1\]"),
        ([], np.empty((0, 2)), r"shape \(0,\)"),
    ],
)
def test_bad_input_is_refused_with_what_is_wrong(true, chances, message):
    for scores in (class_scores, classification_scores):
        with pytest.raises(ValueError, match=message):
            scores(true, chances)


def test_a_confusion_matrix_of_unequal_numbers_is_refused():
    with pytest.raises(ValueError):
        confusion_matrix([0, 1], [0], 2)
