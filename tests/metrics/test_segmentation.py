"""Segmentation metrics agree with MONAI, scikit-learn and plain counting; empty classes never make them 0 or 1."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics import compute_dice, compute_iou
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, jaccard_score, precision_score, recall_score
from torch import Tensor

from ushydra_lab.losses.segmentation import IGNORE
from ushydra_lab.metrics.overlap import Counts, dice_with_empty, overlap, pooled, presence, three_dice
from ushydra_lab.metrics.segmentation import confusion, counts_of

K = 4
MAPS = arrays(np.uint8, st.just((2, 3, 5, 6)), elements=st.sampled_from([0, 0, 0, 1, 1, 2, 3, IGNORE]))


def random_maps(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Eight pairs, among them: structure 3 nowhere in the truth, empty and full maps, one-pixel structures."""
    generator = torch.Generator().manual_seed(seed)
    pred, true = torch.randint(K, (2, 8, 12, 10), generator=generator, dtype=torch.uint8)
    true[true == 3] = 0
    true[0], pred[1], true[2], pred[2], true[3] = 0, 0, 1, 1, 2
    true[4], pred[4] = 0, 0
    true[4, 5, 5] = pred[4, 5, 6] = 2
    true[5], pred[5] = 0, 0
    true[5, 5, 5] = pred[5, 5, 5] = 1
    return pred, true


def one_hot(labels: Tensor) -> Tensor:
    return F.one_hot(labels.long(), K).movedim(-1, 1)


def counted(pred: np.ndarray, true: np.ndarray, k: int) -> tuple[int, int, int]:
    """True positive, false positive and false negative pixels of a label, one pixel after the other."""
    known = [(int(p), int(t)) for p, t in zip(pred.flat, true.flat, strict=True) if t != IGNORE]
    return (
        sum(p == k and t == k for p, t in known),
        sum(p == k and t != k for p, t in known),
        sum(p != k and t == k for p, t in known),
    )


def stored(counts: Counts) -> Counts:
    """As a report reads them."""
    return Counts(*(count.numpy() for count in counts))


def counts(pred: Tensor, true: Tensor, classes: int) -> Counts:
    return counts_of(confusion(pred, true, classes))


def same(values: Tensor, expected) -> None:
    np.testing.assert_allclose(values.numpy(), np.asarray(expected), rtol=1e-6, equal_nan=True)


def test_confusions_are_scikit_learns():
    pred, true = random_maps()
    expected = [confusion_matrix(t.flatten(), p.flatten(), labels=range(K)) for p, t in zip(pred, true, strict=True)]
    assert confusion(pred, true, K).tolist() == np.stack(expected).tolist()
    assert confusion(pred.long(), true, K).tolist() == np.stack(expected).tolist()


@settings(deadline=None, max_examples=50)
@given(MAPS)
def test_scores_of_an_image_are_plain_counting(maps):
    pred, true = np.where(maps[0] == IGNORE, 0, maps[0]), maps[1]
    counted_px = counts(torch.from_numpy(pred), torch.from_numpy(true), K)
    scores, empty = overlap(counted_px), dice_with_empty(counted_px)
    for b in range(len(true)):
        for k in range(K):
            tp, fp, fn = counted(pred[b], true[b], k)
            there = tp + fn > 0
            same(scores["dice"][b, k], 2 * tp / (2 * tp + fp + fn) if there else math.nan)
            same(scores["iou"][b, k], tp / (tp + fp + fn) if there else math.nan)
            same(scores["recall"][b, k], tp / (tp + fn) if there else math.nan)
            same(scores["precision"][b, k], tp / (tp + fp) if there and tp + fp else math.nan)
            same(empty[b, k], 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1)


def test_dice_and_iou_are_monais_under_both_empty_policies():
    pred, true = random_maps()
    counted_px = counts(pred, true, K)
    hot = one_hot(pred), one_hot(true)
    same(overlap(counted_px)["dice"], compute_dice(*hot, ignore_empty=True))
    same(dice_with_empty(counted_px), compute_dice(*hot, ignore_empty=False))
    same(overlap(counted_px)["iou"], compute_iou(*hot, ignore_empty=True))


def test_one_pixel_structures_are_found_or_missed():
    pred, true = random_maps()
    scores = overlap(counts(pred, true, K))
    assert scores["dice"][5, 1] == 1
    for name in ("dice", "iou", "precision", "recall"):
        assert scores[name][4, 2] == 0


def test_an_absent_structure_has_no_score_in_any_image_or_at_all():
    pred, true = random_maps()
    counted_px = counts(pred, true, K)
    for values in overlap(counted_px).values():
        assert values[:, 3].isnan().all()
    for name in ("iou", "precision", "recall", "f1"):
        assert np.isnan(pooled(stored(counted_px))[name][3])
    dice = three_dice(stored(counted_px))
    assert np.isnan(dice["dice_micro"][3])
    assert np.isnan(dice["dice_macro"][3])
    predicted = (pred == 3).flatten(1).any(1)
    assert dice["dice_per_image"][3] == pytest.approx((~predicted).float().mean().item())


def test_a_structure_never_predicted_is_missed_but_has_no_precision():
    true = torch.tensor([[[0, 1]]])
    scores = overlap(counts(torch.zeros_like(true), true, 2))
    assert [scores[name][0, 1].item() for name in ("dice", "iou", "recall")] == [0, 0, 0]
    assert scores["precision"][0, 1].isnan()


def test_the_three_dice_differ_as_they_should():
    """One image with a large structure found, one with a small one missed, one with neither, one false alarm."""
    true, pred = torch.zeros(2, 4, 10, 10, dtype=torch.long).unbind()
    true[0, :5], pred[0, :5] = 1, 1
    true[1, 0, :2] = 1
    pred[3, 0, 0] = 1
    dice = {name: values[1].item() for name, values in three_dice(stored(counts(pred, true, 2))).items()}
    assert dice == pytest.approx({"dice_micro": 100 / 103, "dice_macro": 0.5, "dice_per_image": 0.5})
    dice = {name: values[1].item() for name, values in three_dice(stored(counts(pred[1:], true[1:], 2))).items()}
    assert dice == pytest.approx({"dice_micro": 0, "dice_macro": 0, "dice_per_image": 1 / 3})


def test_pooled_scores_are_scikit_learns():
    pred, true = random_maps()
    flat = true.flatten(), pred.flatten()
    scores = pooled(stored(counts(pred, true, K)))
    settings = {"labels": range(3), "average": None}
    np.testing.assert_allclose(scores["iou"][:3], jaccard_score(*flat, **settings))
    np.testing.assert_allclose(scores["precision"][:3], precision_score(*flat, **settings))
    np.testing.assert_allclose(scores["recall"][:3], recall_score(*flat, **settings))
    np.testing.assert_allclose(scores["f1"][:3], f1_score(*flat, **settings))
    assert scores["pixel_accuracy"] == pytest.approx(accuracy_score(*flat))
    assert scores["fw_iou"] == pytest.approx(jaccard_score(*flat, average="weighted"))
    assert scores["miou"] == pytest.approx(jaccard_score(*flat, **settings).mean())
    assert scores["miou_foreground"] == pytest.approx(jaccard_score(*flat, **settings)[1:].mean())


def test_f1_is_the_harmonic_mean_of_precision_and_recall_and_the_micro_dice():
    counted_px = counts(*random_maps(), K)
    scores = pooled(stored(counted_px))
    precision, recall = scores["precision"], scores["recall"]
    np.testing.assert_allclose(scores["f1"], 2 * precision * recall / (precision + recall))
    np.testing.assert_allclose(scores["f1"], three_dice(stored(counted_px))["dice_micro"])


def test_presence_counts_images_and_more_than_five_pixels_make_a_prediction():
    true, pred = torch.zeros(2, 6, 8, 8, dtype=torch.long).unbind()
    true[:3, 0, 0] = 1
    pred[0, 1, :6] = pred[1, 1, :5] = pred[3, 1, :6] = pred[4, 1, :5] = 1
    found = presence(stored(counts(pred, true, 3)))
    assert found["sensitivity"][1] == pytest.approx(1 / 3)
    assert found["specificity"][1] == pytest.approx(2 / 3)
    assert np.isnan(found["sensitivity"][2])
    assert found["specificity"][2] == 1
    assert np.isnan(found["specificity"][0])
    assert presence(stored(counts(pred, true, 3)), min_pixels=4)["sensitivity"][1] == pytest.approx(2 / 3)


def test_ignored_pixels_count_nowhere():
    pred, true = random_maps()
    cut = confusion(pred[:, :7], true[:, :7], K)
    true[:, 7:] = IGNORE
    assert torch.equal(confusion(pred, true, K), cut)


def test_without_a_known_pixel_nothing_has_a_value():
    pred, true = torch.zeros(2, 3, 4, 4, dtype=torch.uint8).unbind()
    counted_px = counts(pred, torch.full_like(true, IGNORE), K)
    assert {tuple(count.shape) for count in counted_px} == {(3, K)}
    known = stored(counted_px)
    for values in (*overlap(known).values(), *pooled(known).values(), presence(known)["sensitivity"]):
        assert np.isnan(values).all()


@settings(deadline=None, max_examples=30)
@given(MAPS)
def test_scores_lie_between_0_and_1_and_iou_is_that_of_dice(maps):
    pred, true = torch.from_numpy(np.where(maps[0] == IGNORE, 0, maps[0])), torch.from_numpy(maps[1])
    counted_px = counts(pred, true, K)
    known = stored(counted_px)
    tables = overlap(known) | three_dice(known) | pooled(known) | presence(known)
    for values in tables.values():
        assert ((values >= 0) & (values <= 1) | np.isnan(values)).all()
    dice = overlap(counted_px)["dice"]
    torch.testing.assert_close(overlap(counted_px)["iou"], dice / (2 - dice), equal_nan=True)


def test_a_perfect_map_has_one_wherever_it_has_a_value():
    _, true = random_maps()
    known = stored(counts(true, true, K))
    for values in (overlap(known) | three_dice(known) | pooled(known)).values():
        assert ((values == 1) | np.isnan(values)).all()


def test_what_does_not_fit_is_named():
    maps = torch.zeros(2, 4, 4, dtype=torch.long)
    with pytest.raises(ValueError, match=r"predicted labels.*below 3.*\[3\]"):
        confusion(maps + 3, maps, 3)
    with pytest.raises(ValueError, match=r"true labels.*\[-1\]"):
        confusion(maps, maps - 1, 3)
    with pytest.raises(ValueError, match=r"\(2, 4, 4\).*\(2, 4, 3\)"):
        confusion(maps, maps[..., 1:], 3)
