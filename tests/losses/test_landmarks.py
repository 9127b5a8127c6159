"""Landmark losses agree with plain loops, ignore what is missing, and stay finite for collapsed heads."""

from functools import partial
from math import hypot, pi, radians

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ushydra_lab.geometry.heatmaps import OFFSET, LocalSoftArgmax, draw, heatmap, soft_argmax
from ushydra_lab.losses.landmarks import angle_term, centre_term, coordinate_l1, heatmap_mse, order_term

NAN = torch.nan
STRIDE, SIGMA, SIZE = 2, 3.0, (12, 15)
POINTS = torch.tensor([[[4.0, 9.3], [20.1, 8.0]], [[NAN, NAN], [11.0, 12.0]], [[7.0, NAN], [NAN, NAN]]])
MSE = partial(heatmap_mse, stride=STRIDE, sigma=SIGMA)
L1 = partial(coordinate_l1, canvas=(24, 30))
GEOMETRY = [
    partial(angle_term, tolerance_deg=5),
    partial(centre_term, tolerance=0.05),
    partial(order_term, tolerance=0.1),
]


def some_logits(seed: int = 0) -> Tensor:
    return 2 * torch.randn(3, 2, *SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def by_loop(errors: dict[tuple[int, int], float], channels: list[float], samples: list[float]) -> float:
    whole = sum(channels[p] for _, p in errors)
    return sum(channels[p] * samples[b] * error for (b, p), error in errors.items()) / whole


def of_heads(*rows: list[float], **kwargs) -> Tensor:
    """Points (B, 4, 2) from rows of OFD_1, OFD_2, BPD_1, BPD_2."""
    return torch.tensor(rows, **kwargs).view(-1, 4, 2)


UPRIGHT = [0, 50, 100, 50, 50, 10, 50, 90]


@pytest.mark.parametrize(("channels", "samples"), [(None, None), ([3.0, 1.0], [0.5, 1.0, 9.0])])
def test_heatmap_error_is_that_of_a_loop_over_known_landmarks(channels, samples):
    logits = some_logits()
    target = draw(POINTS.double(), SIZE, STRIDE, SIGMA)
    energy = pi * (SIGMA / STRIDE) ** 2
    errors = {
        (b, p): float(((heatmap(logits)[b, p] - target[b, p]) ** 2).sum() / energy) for b, p in [(0, 0), (0, 1), (1, 1)]
    }
    found = MSE(logits, POINTS, channel_weights=channels, sample_weights=samples and torch.tensor(samples))
    assert found.item() == pytest.approx(by_loop(errors, channels or [1, 1], samples or [1, 1, 1]))


def test_coordinate_error_is_that_of_a_loop_over_known_landmarks():
    predicted = torch.tensor([[[5.0, 5.0], [20.0, 10.0]], [[1.0, 2.0], [14.0, 8.0]], [[0.0, 0.0], [0.0, 0.0]]])
    diagonal = hypot(24, 30)
    errors = {(0, 0): (1 + 4.3) / diagonal, (0, 1): (0.1 + 2) / diagonal, (1, 1): (3 + 4) / diagonal}
    assert L1(predicted, POINTS).item() == pytest.approx(by_loop(errors, [1, 1], [1, 1, 1]))
    weighted = L1(predicted, POINTS, channel_weights=[1.0, 4.0], sample_weights=torch.tensor([1.0, 0.1, 1.0]))
    assert weighted.item() == pytest.approx(by_loop(errors, [1, 4], [1, 0.1, 1]))


@given(stride=st.sampled_from([1, 2, 4]), cells=st.floats(1.5, 4), size=st.integers(40, 80))
@settings(deadline=None, max_examples=20)
def test_a_map_of_zeros_costs_1_whatever_canvas_stride_and_sigma(stride, cells, size):
    middle = torch.full((1, 1, 2), size * stride / 2)
    empty = torch.full((1, 1, size, size), -30.0)
    assert heatmap_mse(empty, middle, stride, cells * stride).item() == pytest.approx(1, abs=1e-3)
    truth = torch.logit(draw(middle, (size, size), stride, cells * stride), eps=1e-6) - OFFSET
    assert heatmap_mse(truth, middle, stride, cells * stride).item() < 1e-6


def test_weights_of_channels_have_no_scale_and_those_of_images_do():
    logits = some_logits()
    plain = MSE(logits, POINTS)
    torch.testing.assert_close(MSE(logits, POINTS, channel_weights=[5.0, 5.0]), plain)
    torch.testing.assert_close(MSE(logits, POINTS, sample_weights=torch.full((3,), 0.5)), plain / 2)


def test_a_missing_landmark_gets_no_gradient_and_the_others_one():
    logits = some_logits().requires_grad_()
    MSE(logits, POINTS, sharpness=1.0).backward()
    pulled = logits.grad.abs().sum((2, 3)) > 0
    assert pulled.tolist() == [[True, True], [False, True], [False, False]]


@pytest.mark.parametrize("loss", [MSE, partial(MSE, sharpness=1.0, channel_weights=[1.0, 2.0])])
def test_a_batch_without_landmarks_costs_nothing_and_pulls_nowhere(loss):
    logits, predicted = some_logits().requires_grad_(), torch.zeros(3, 2, 2, requires_grad=True)
    (loss(logits, POINTS * NAN) + L1(predicted, POINTS * NAN)).backward()
    assert loss(logits, POINTS * NAN) == 0
    assert (logits.grad == 0).all()
    assert (predicted.grad == 0).all()


def test_sharpness_weighting_favours_the_sharper_prediction_without_a_gradient_of_its_own():
    points = torch.tensor([[[12.0, 12.0]], [[12.0, 12.0]]])
    shift = torch.tensor([[[18.0, 12.0]], [[18.0, 12.0]]])
    peaks = draw(shift, SIZE, STRIDE, SIGMA)
    logits = (torch.logit(torch.cat([peaks[:1], 0.02 + 0.05 * peaks[1:]]), eps=1e-6) - OFFSET).requires_grad_()
    alone = [MSE(logits[i : i + 1], points[i : i + 1]) for i in (0, 1)]
    both = MSE(logits, points, sharpness=1.0)
    slope = torch.autograd.grad(both, logits, retain_graph=True)[0]
    plain = torch.autograd.grad(MSE(logits, points), logits)[0]
    ratio = [float((slope[i] / plain[i]).nanmedian()) for i in (0, 1)]
    assert ratio[0] > 1.3 > 0.7 > ratio[1]
    assert sum(ratio) == pytest.approx(2, rel=1e-4)
    torch.testing.assert_close(slope, plain * torch.tensor(ratio).view(2, 1, 1, 1), rtol=1e-3, atol=1e-7)
    assert both.item() == pytest.approx(sum(r * a.item() for r, a in zip(ratio, alone, strict=True)) / 2, rel=1e-4)


def test_where_all_predictions_are_equally_blunt_sharpness_weighs_all_alike():
    logits = torch.zeros(3, 2, *SIZE)
    torch.testing.assert_close(MSE(logits, POINTS, sharpness=2.0), MSE(logits, POINTS))


@pytest.mark.parametrize("sharpness", [0.0, 1.0])
def test_a_plain_network_learns_to_draw_peaks_instead_of_zeros(sharpness):
    """From PyTorch's own initial weights and by plain gradient descent, where a mean over cells of a sigmoid fails."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 1, 5, padding=2))
    descent = torch.optim.SGD(net.parameters(), 0.02, momentum=0.9)
    for _ in range(150):
        points = 32 * torch.rand(8, 1, 2)
        logits = net(draw(points, (32, 32), 1, 2) + 0.1 * torch.randn(8, 1, 32, 32))
        loss = heatmap_mse(logits, points, 1, 1.5, sharpness=sharpness)
        descent.zero_grad()
        loss.backward()
        descent.step()
    assert loss < 0.3
    assert (LocalSoftArgmax(1.5)(logits, 1) - points).norm(dim=-1).median() < 0.5


def test_losses_have_the_gradient_of_finite_differences():
    points = torch.tensor([[[4.0, 5.0], [NAN, NAN]]])
    logits = torch.randn(1, 2, 4, 5, dtype=torch.double, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: MSE(z, points), (logits,))
    predicted = torch.tensor([[[3.0, 9.0], [2.0, 2.0]]], dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: L1(x, points), (predicted,))


@given(angle=st.floats(1, 89), turn=st.floats(0, 360), flip=st.booleans())
def test_the_angle_term_is_the_squared_excess_in_radians_whichever_way_the_ends_point(angle, turn, flip):
    directions = torch.deg2rad(torch.tensor([turn, turn + angle], dtype=torch.double))
    ofd, bpd = torch.stack([directions.cos(), directions.sin()], 1) * torch.tensor([[90.0], [-60.0 if flip else 60.0]])
    points = torch.stack([torch.zeros(2), ofd, ofd / 2, ofd / 2 + bpd])[None]
    excess = max(0, radians(90 - angle - 10))
    assert angle_term(points, 10).item() == pytest.approx(excess**2, abs=1e-9)


def test_centre_and_order_are_fractions_of_the_ofd():
    moved = of_heads([0, 50, 100, 50, 80, 50, 80, 130.0])
    assert centre_term(moved, 0.2).item() == pytest.approx(0.5 - 0.2)
    wide = of_heads([0, 50, 100, 50, 50, 0, 50, 130.0])
    assert order_term(wide, 0.1).item() == pytest.approx(0.3 - 0.1)


@pytest.mark.parametrize("term", GEOMETRY)
@given(shifts=st.lists(st.floats(-1.5, 1.5), min_size=8, max_size=8))
@settings(deadline=None, max_examples=25)
def test_within_the_tolerance_there_is_no_cost_and_no_pull(term, shifts):
    points = (of_heads(UPRIGHT) + torch.tensor(shifts).view(1, 4, 2)).requires_grad_()
    loss = term(points)
    loss.backward()
    assert loss == 0
    assert (points.grad == 0).all()


@pytest.mark.parametrize("term", GEOMETRY)
@pytest.mark.parametrize(
    "points",
    [
        [30.0] * 8,
        [0, 50, 100, 50, 40, 40, 40, 40],
        [40, 40, 40, 40, 0, 50, 100, 50],
        [0, 0, 1e-3, 1e-3, 0, 50, 100, 50],
        [0, 0, 100, 0, 0, 0, 100, 0],
    ],
    ids=["all in one point", "no BPD", "no OFD", "almost no OFD", "parallel"],
)
def test_collapsed_heads_have_finite_losses_and_pulls(term, points):
    points = of_heads(points, dtype=torch.float32).requires_grad_()
    loss = term(points)
    loss.backward()
    assert loss.isfinite()
    assert points.grad.abs().max() <= 2, "per px"


BAD = [10.0, 20, 80, 45, 70, 0, 50, 130]


@pytest.mark.parametrize("term", GEOMETRY)
def test_geometric_terms_have_the_gradient_of_finite_differences(term):
    """Of the OFD's ends only the angle's: elsewhere its length is a ruler, without gradient by design."""
    points = of_heads(BAD, [5.0, 5, 90, 20, 60, 90, 30, -60], dtype=torch.double)
    ofd, bpd = points[:, :2], points[:, 2:].requires_grad_()
    assert term(points) > 0
    assert torch.autograd.gradcheck(lambda x: term(torch.cat([ofd, x], 1)), (bpd,))
    if term.func is angle_term:
        assert torch.autograd.gradcheck(term, (points.detach().requires_grad_(),))


@pytest.mark.parametrize("term", GEOMETRY)
def test_following_a_terms_gradient_through_soft_argmax_mends_the_geometry(term):
    logits = (torch.logit(draw(of_heads(BAD) / 2, (70, 50), 1, 3.0), eps=1e-6) - OFFSET).requires_grad_()
    descent = torch.optim.Adam([logits], 0.5)
    before = term(2 * soft_argmax(logits, 1, 3.0)).item()
    for _ in range(20):
        descent.zero_grad()
        loss = term(2 * soft_argmax(logits, 1, 3.0))
        loss.backward()
        descent.step()
    assert loss < 0.7 * before


def test_no_term_falls_by_stretching_the_ruler():
    points = of_heads([0, 0, 60, 0, 0, 20, 60, 20], dtype=torch.float32).requires_grad_()
    centre_term(points, 0.1).backward()
    along = points.grad[0, 1] - points.grad[0, 0]
    torch.testing.assert_close(along, torch.zeros(2))


def test_what_does_not_fit_is_named():
    logits = some_logits()
    with pytest.raises(ValueError, match=r"\(3, 2, 2\).*\(3, 1, 2\)"):
        MSE(logits, POINTS[:, :1])
    with pytest.raises(ValueError, match=r"2 landmarks and of 3 images.*\(3,\) and \(3,\)"):
        MSE(logits, POINTS, channel_weights=[1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match=r"2 landmarks and of 3 images.*\(2,\) and \(2,\)"):
        L1(POINTS, POINTS, sample_weights=torch.ones(2))
    with pytest.raises(ValueError, match=r"\(3, 2, 2\), \(3, 4, 2\)"):
        L1(POINTS, torch.zeros(3, 4, 2))
    for term in GEOMETRY:
        with pytest.raises(ValueError, match=r"OFD_1.*\(3, 2, 2\)"):
            term(POINTS)
