"""Segmentation losses agree with PyTorch and MONAI, ignore what they should, and stay finite for absent classes."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from monai.losses import DiceLoss, FocalLoss
from torch import Tensor

from ushydra_lab.losses.segmentation import IGNORE, class_weights, cross_entropy, focal, soft_dice
from ushydra_lab.losses.weighting import FixedWeights

LOSSES = [cross_entropy, focal, soft_dice]
WEIGHTS = torch.tensor([1.0, 2.5, 10, 7])


def sample(classes: int = 4, size: tuple[int, int] = (9, 11), seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, classes, *size, generator=generator, dtype=torch.double)
    return logits, torch.randint(classes, (2, *size), generator=generator, dtype=torch.uint8)


def one_hot(labels: Tensor, classes: int = 4) -> Tensor:
    return F.one_hot(labels.long(), classes).movedim(-1, 1).double()


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_cross_entropy_is_pytorchs(weights):
    logits, labels = sample()
    labels[0, :4] = IGNORE
    expected = F.cross_entropy(
        logits, labels.long(), None if weights is None else weights.double(), ignore_index=IGNORE
    )
    torch.testing.assert_close(cross_entropy(logits, labels, weights), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_focal_is_monais_per_weight(weights, gamma):
    logits, labels = sample()
    monai = FocalLoss(use_softmax=True, gamma=gamma, weight=weights, reduction="none")
    total = (torch.ones(4) if weights is None else weights)[labels.long()].double().sum()
    torch.testing.assert_close(focal(logits, labels, weights, gamma), monai(logits, one_hot(labels)).sum() / total)


def test_focal_without_focus_is_weighted_cross_entropy():
    logits, labels = sample()
    torch.testing.assert_close(focal(logits, labels, WEIGHTS, gamma=0), cross_entropy(logits, labels, WEIGHTS))


@pytest.mark.parametrize("smooth", [1e-5, 1.0])
def test_soft_dice_is_monais_over_the_batch(smooth):
    logits, labels = sample()
    monai = DiceLoss(softmax=True, squared_pred=True, batch=True, smooth_nr=smooth, smooth_dr=smooth, reduction="none")
    each = monai(logits, one_hot(labels)).flatten()
    torch.testing.assert_close(soft_dice(logits, labels, smooth=smooth), each.mean())
    weighted = (WEIGHTS * each).sum() / WEIGHTS.sum()
    torch.testing.assert_close(soft_dice(logits, labels, WEIGHTS, smooth), weighted)


def test_closed_forms_of_a_coin_toss():
    logits, labels = torch.zeros(1, 2, 4, 5), torch.zeros(1, 4, 5, dtype=torch.uint8)
    labels[0, 0] = 1
    assert cross_entropy(logits, labels).item() == pytest.approx(math.log(2))
    assert focal(logits, labels).item() == pytest.approx(math.log(2) / 4)
    background, structure = 15 / (20 / 4 + 15), 5 / (20 / 4 + 5)
    assert soft_dice(logits, labels, smooth=1e-9).item() == pytest.approx(1 - (background + structure) / 2)


@pytest.mark.parametrize("loss", [*LOSSES, partial(focal, gamma=0.5)])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_gradients_are_those_of_finite_differences(loss, weights):
    logits, labels = sample(size=(3, 4))
    labels[0, 0] = IGNORE
    assert torch.autograd.gradcheck(lambda x: loss(x, labels, weights), (logits.requires_grad_(),))


@pytest.mark.parametrize("loss", LOSSES)
def test_an_ignored_pixel_is_as_if_cut_out(loss):
    logits, labels = sample()
    labels[:, 3:, :] = IGNORE
    logits.requires_grad_()
    value = loss(logits, labels, WEIGHTS)
    torch.testing.assert_close(value, loss(logits[:, :, :3], labels[:, :3], WEIGHTS))
    value.backward()
    assert (logits.grad[:, :, 3:] == 0).all()
    assert (logits.grad[:, :, :3] != 0).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_a_batch_without_a_labelled_pixel_teaches_nothing(loss, weights):
    logits, _ = sample()
    logits = logits.float().requires_grad_()
    value = loss(logits, torch.full((2, 9, 11), IGNORE, dtype=torch.uint8), weights)
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("loss", [*LOSSES, partial(focal, gamma=0.5)])
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e30])
@pytest.mark.parametrize("label", [0, 3])
def test_value_and_gradient_are_finite_however_sure_the_network_is(loss, scale, label):
    logits, labels = sample()
    logits = (logits * scale).float().requires_grad_()
    value = loss(logits, torch.full_like(labels, label), WEIGHTS)
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_certain_and_right_network_has_no_loss_and_a_wrong_one_has(loss):
    _, labels = sample()
    right = 60 * one_hot(labels)
    wrong = 60 * one_hot((labels + 1) % 4)
    assert loss(right, labels) == pytest.approx(0, abs=1e-9)
    assert loss(wrong, labels) > 0.9


def test_dice_of_a_class_absent_from_the_batch_counts_how_much_of_it_is_predicted():
    labels = torch.zeros(1, 4, 4, dtype=torch.uint8)
    only_absent = torch.tensor([0.0, 1.0])
    silent = torch.tensor([60.0, 0]).view(1, 2, 1, 1).expand(1, 2, 4, 4).double()
    assert soft_dice(silent, labels, only_absent) == pytest.approx(0, abs=1e-9)
    assert soft_dice(torch.zeros_like(silent), labels, only_absent).item() == pytest.approx(1 - 1 / (1 + 16 / 4))
    logits = torch.zeros_like(silent).requires_grad_()
    soft_dice(logits, labels, only_absent).backward()
    assert (logits.grad[:, 1] > 0).all(), "descending makes the absent class less probable"


def test_a_structure_in_another_image_of_the_batch_is_not_absent():
    labels = torch.zeros(2, 4, 4, dtype=torch.uint8)
    labels[1] = 1
    assert soft_dice(60 * one_hot(labels, 2), labels) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("loss", [cross_entropy, focal])
def test_classes_absent_from_the_batch_do_not_change_a_mean_over_pixels(loss):
    logits, labels = sample()
    labels = labels % 2
    changed = WEIGHTS * torch.tensor([1, 1, 9, 0])
    torch.testing.assert_close(loss(logits, labels, WEIGHTS), loss(logits, labels, changed))


@pytest.mark.parametrize("loss", LOSSES)
def test_only_the_ratio_of_weights_counts(loss):
    logits, labels = sample()
    torch.testing.assert_close(loss(logits, labels, WEIGHTS), loss(logits, labels, 30 * WEIGHTS))
    torch.testing.assert_close(loss(logits, labels), loss(logits, labels, torch.ones(4)))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_heavier_class_pulls_harder(loss):
    logits, labels = sample()
    pulls = []
    for weight in (1.0, 10.0):
        leaf = logits.clone().requires_grad_()
        loss(leaf, labels, torch.tensor([1.0, 1, weight, 1])).backward()
        pulls.append(leaf.grad.movedim(1, -1)[labels == 2].norm())
    assert pulls[1] > 2 * pulls[0]


@pytest.mark.parametrize("loss", LOSSES)
def test_autocast_and_half_precision_change_nothing_but_the_input(loss):
    logits, labels = sample()
    half = logits.bfloat16()
    expected = loss(half.float(), labels, WEIGHTS)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(half, labels, WEIGHTS)
        assert torch.equal(loss(half.float(), labels, WEIGHTS), expected)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_labels_may_be_bytes_or_long(loss):
    logits, labels = sample()
    assert torch.equal(loss(logits, labels), loss(logits, labels.long()))


def test_the_hybrid_of_the_thesis_is_a_weighted_sum_of_named_terms():
    logits, labels = sample()
    terms = {"ce": cross_entropy, "focal": focal, "dice": partial(soft_dice, weights=WEIGHTS)}
    hybrid = FixedWeights(list(terms), [0.4, 0.2, 0.4])
    value = hybrid({name: term(logits, labels) for name, term in terms.items()})
    expected = 0.4 * cross_entropy(logits, labels) + 0.2 * focal(logits, labels)
    assert value.item() == pytest.approx(float(expected + 0.4 * soft_dice(logits, labels, WEIGHTS)))


@pytest.mark.parametrize("loss", LOSSES)
def test_what_does_not_fit_is_named(loss):
    logits, labels = sample()
    with pytest.raises(ValueError, match=r"below 4 or 255, found \[4, 9\]"):
        loss(logits, labels.index_put((torch.tensor([0]), torch.tensor([0])), torch.arange(4, 15).byte() % 2 * 5 + 4))
    with pytest.raises(ValueError, match=r"found \[-1\]"):
        loss(logits, torch.full((2, 9, 11), -1))
    with pytest.raises(ValueError, match=r"4 classes.*\(3,\)"):
        loss(logits, labels, torch.ones(3))
    with pytest.raises(ValueError, match=r"labels \(B, H, W\).*\(2, 9, 10\)"):
        loss(logits, labels[..., 1:])
    with pytest.raises(ValueError, match="float32"):
        loss(logits, labels.float())


def test_dice_without_smoothing_is_refused():
    with pytest.raises(ValueError, match="smooth"):
        soft_dice(*sample(), smooth=0)


def test_class_weights_are_inverse_frequencies_up_to_the_cap():
    assert class_weights(torch.tensor([8000, 2000, 1000, 10])).tolist() == [1, 4, 8, 10]
    assert class_weights(torch.tensor([8000, 10]), cap=1000).tolist() == [1, 800]


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=6), st.floats(1, 100))
def test_class_weights_never_favour_the_commoner_class(counts, cap):
    weights = class_weights(torch.tensor(counts), cap)
    assert weights.min() == 1
    assert weights.max() <= cap * (1 + 1e-6)
    assert (weights[torch.tensor(counts).argsort()].diff() <= 0).all()


def test_classes_never_seen_have_no_weight():
    with pytest.raises(ValueError, match="label 1, 3"):
        class_weights(torch.tensor([5, 0, 2, 0]))
