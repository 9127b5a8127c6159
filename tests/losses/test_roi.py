"""Losses in a box equal their definition on the whole image, pixel by pixel."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.filters import sobel
from torch import Tensor

from ushydra_lab.geometry.boxes import box_mask, masked_mean
from ushydra_lab.losses.roi import roi_edge, roi_l1, sobel_magnitude

H, W = 24, 37


def images(batch: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 1, H, W, generator=generator), torch.rand(batch, 1, H, W, generator=generator)


@st.composite
def boxes(draw) -> list[float]:
    x = sorted(draw(st.tuples(*[st.floats(0, W, width=32)] * 2)))
    y = sorted(draw(st.tuples(*[st.floats(0, H, width=32)] * 2)))
    return [x[0], y[0], max(x[1], x[0] + 0.01), max(y[1], y[0] + 0.01)]


@given(boxes())
def test_mask_holds_the_pixels_whose_centre_is_inside_or_the_nearest(box):
    x1, y1, x2, y2 = torch.tensor(box).tolist()
    rows = [r for r in range(H) if y1 <= r + 0.5 < y2] or [min(H - 1, int((y1 + y2) / 2))]
    columns = [c for c in range(W) if x1 <= c + 0.5 < x2] or [min(W - 1, int((x1 + x2) / 2))]
    expected = np.zeros((H, W), bool)
    expected[np.ix_(rows, columns)] = True
    np.testing.assert_array_equal(box_mask(torch.tensor([box]), (H, W))[0, 0].numpy(), expected)


@given(st.integers(1, W - 1), st.integers(1, H - 1))
def test_neighbouring_boxes_share_no_pixel_and_leave_none_out(x, y):
    parts = torch.tensor([[0, 0, x, y], [x, 0, W, y], [0, y, x, H], [x, y, W, H]], dtype=torch.float32)
    assert (box_mask(parts, (H, W)).sum(0) == 1).all()


def test_sobel_is_that_of_skimage():
    x, _ = images()
    expected = np.stack([sobel(image) for image in x[:, 0].double().numpy()])
    np.testing.assert_allclose(sobel_magnitude(x.double())[:, 0].numpy(), expected, atol=1e-12)


def test_sobel_of_unit_images_stays_within_one():
    binary = (images(16)[0] > 0.5).float()
    assert 0.7 < sobel_magnitude(binary).max() <= 1


def test_sobel_of_a_flat_image_has_a_finite_gradient():
    x = torch.full((1, 1, 8, 8), 0.5, requires_grad=True)
    sobel_magnitude(x).sum().backward()
    assert (x.grad == 0).all()


def edge_on_whole_image(x_hat: Tensor, x: Tensor, box: Tensor, norm: str) -> list[float]:
    """The definition, image by image, from whole-image Sobel magnitudes."""
    values = []
    for a, b, mask in zip(x_hat[:, 0].numpy(), x[:, 0].numpy(), box_mask(box, (H, W))[:, 0].numpy(), strict=True):
        edge_hat, edge = sobel(a)[mask], sobel(b)[mask]
        scale_hat, scale = {
            "reference": (np.percentile(edge, 99), np.percentile(edge, 99)),
            "self": (edge_hat.max(), edge.max()),
            "kernel": (1.0, 1.0),
        }[norm]
        values.append(np.abs(edge_hat / max(scale_hat, 1 / 255) - edge / max(scale, 1 / 255)).mean())
    return values


@settings(deadline=None, max_examples=40)
@given(st.lists(boxes(), min_size=3, max_size=3), st.sampled_from(["reference", "self", "kernel"]))
def test_edge_loss_is_that_of_the_whole_image_for_boxes_of_any_size(box, norm):
    x_hat, x = (image.double() for image in images())
    expected = edge_on_whole_image(x_hat, x, torch.tensor(box), norm)
    np.testing.assert_allclose(roi_edge(x_hat, x, torch.tensor(box), norm).numpy(), expected, rtol=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.lists(boxes(), min_size=3, max_size=3))
def test_l1_is_the_mean_over_the_mask(box):
    x_hat, x = images()
    mask = box_mask(torch.tensor(box), (H, W))
    expected = [float((a - b).abs()[m].mean()) for a, b, m in zip(x_hat, x, mask, strict=True)]
    np.testing.assert_allclose(roi_l1(x_hat, x, torch.tensor(box)).numpy(), expected, rtol=1e-5)
    torch.testing.assert_close(masked_mean((x_hat - x).abs(), mask), roi_l1(x_hat, x, torch.tensor(box)))


BOX = torch.tensor([[0.0, 0, 9, 7], [20.2, 10.4, 37, 24], [5, 5, 25, 15]])


@pytest.mark.parametrize("loss", [roi_l1, roi_edge, lambda *a: roi_edge(*a, "self"), lambda *a: roi_edge(*a, "kernel")])
def test_gradients_are_those_of_finite_differences(loss):
    x_hat, x = (image.double() for image in images())
    assert torch.autograd.gradcheck(lambda a: loss(a, x, BOX), (x_hat.requires_grad_(),), fast_mode=True)


@pytest.mark.parametrize("loss", [roi_l1, roi_edge])
def test_nothing_outside_the_box_and_its_border_gets_a_gradient(loss):
    x_hat, x = images()
    loss(x_hat.requires_grad_(), x, BOX).sum().backward()
    reach = box_mask(BOX + torch.tensor([-1, -1, 1, 1]), (H, W))
    assert (x_hat.grad[~reach] == 0).all()
    assert (x_hat.grad[box_mask(BOX, (H, W))] != 0).float().mean() > 0.9


def test_a_faded_edge_costs_with_the_reference_norm_and_not_with_its_own():
    step = torch.zeros(1, 1, H, W)
    step[..., 18:] = 0.8
    box = torch.tensor([[10.0, 4, 28, 20]])
    assert roi_edge(step / 4, step, box, "reference") > 0.05
    torch.testing.assert_close(roi_edge(step / 4, step, box, "self"), torch.zeros(1))


def test_reference_norm_does_not_depend_on_contrast():
    x_hat, x = images()
    torch.testing.assert_close(roi_edge(x_hat, x, BOX), roi_edge(x_hat / 3, x / 3, BOX))


@pytest.mark.parametrize("norm", ["reference", "self", "kernel"])
def test_black_boxes_give_finite_values_and_gradients(norm):
    black = torch.zeros(3, 1, H, W)
    x_hat = black.clone().requires_grad_()
    value = roi_edge(x_hat, black, BOX, norm)
    value.sum().backward()
    assert (value == 0).all()
    assert x_hat.grad.isfinite().all()
    assert roi_edge(images()[0], black, BOX, norm).isfinite().all()


@pytest.mark.parametrize("loss", [roi_l1, roi_edge])
def test_autocast_does_not_lower_the_precision(loss):
    x_hat, x = images()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(x_hat, x, BOX)
        from_half = loss(x_hat.bfloat16(), x, BOX)
    torch.testing.assert_close(value, loss(x_hat, x, BOX), rtol=0, atol=0)
    assert from_half.dtype == torch.float32


def test_unknown_norm_and_misshapen_boxes_are_named():
    x_hat, x = images()
    with pytest.raises(ValueError, match=r"'maximum'.*reference, self or kernel"):
        roi_edge(x_hat, x, BOX, "maximum")
    with pytest.raises(ValueError, match=r"\(B, 4\).*\(4,\)"):
        roi_l1(x_hat, x, BOX[0])
