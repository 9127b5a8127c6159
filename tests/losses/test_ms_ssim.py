"""MS-SSIM agrees with pytorch-msssim, never gives NaN, and its regions are what they say."""

import pytest
import pytorch_msssim
import torch
import torch.nn.functional as F
from torch import Tensor

from ushydra_lab.losses.ms_ssim import WEIGHTS, combine_maps_in_box, ms_ssim, roi_ms_ssim, ssim_maps


def speckle(height: int, width: int, batch: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A blurred reconstruction and its reference: Rayleigh speckle over smooth tissue, black on the left."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(batch, 1, height, width, generator=generator)
    tissue = F.avg_pool2d(torch.rand(noise.shape, generator=generator), 9, 1, 4)
    x = (tissue * (-noise.clamp(min=1e-6).log()).sqrt()).clamp(0, 1)
    x[..., :20] = 0
    return F.avg_pool2d(x, 3, 1, 1), x


def reference(x_hat: Tensor, x: Tensor) -> Tensor:
    return pytorch_msssim.ms_ssim(x_hat, x, data_range=1, size_average=False)


def value_and_gradient(function, x_hat: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    x_hat = x_hat.clone().requires_grad_()
    value = function(x_hat, x)
    value.sum().backward()
    return value.detach(), x_hat.grad


@pytest.mark.parametrize("shape", [(161, 161), (176, 256), (163, 201), (218, 167)])
def test_agrees_with_pytorch_msssim_at_even_and_odd_sizes(shape):
    pair = [image.double() for image in speckle(*shape)]
    for ours, theirs in zip(value_and_gradient(ms_ssim, *pair), value_and_gradient(reference, *pair), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-15)


def test_single_precision_stays_within_1e_6_of_double():
    x_hat, x = speckle(176, 256)
    value, gradient = value_and_gradient(ms_ssim, x_hat, x)
    exact, exact_gradient = value_and_gradient(reference, x_hat.double(), x.double())
    assert (value - exact).abs().max() < 1e-6
    assert (gradient - exact_gradient).norm() < 1e-5 * exact_gradient.norm()


def test_gradient_of_every_map_is_that_of_finite_differences():
    x_hat, x = (image.double() for image in speckle(161, 162, batch=1))
    x_hat.requires_grad_()
    probe = [torch.randn_like(m) for m in ssim_maps(x_hat.detach(), x)]
    assert torch.autograd.gradcheck(
        lambda image: torch.stack([(m * p).sum() for m, p in zip(ssim_maps(image, x), probe, strict=True)]),
        (x_hat,),
        fast_mode=True,
    )


def test_autocast_and_half_precision_change_nothing_but_the_input():
    x_hat, x = (image.bfloat16() for image in speckle(176, 256))
    expected = value_and_gradient(ms_ssim, x_hat.float(), x.float())
    with torch.autocast("cpu", torch.bfloat16):
        value, gradient = value_and_gradient(ms_ssim, x_hat, x)
        same_input = value_and_gradient(ms_ssim, x_hat.float(), x.float())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected[0], rtol=0, atol=0)
    torch.testing.assert_close(gradient, expected[1].bfloat16(), rtol=0, atol=0)
    torch.testing.assert_close(same_input[1], expected[1], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("make_hat", "make"),
    [
        (torch.zeros_like, torch.zeros_like),
        (torch.ones_like, torch.zeros_like),
        (torch.ones_like, torch.ones_like),
        (lambda x: torch.full_like(x, 0.3), lambda x: x),
        (lambda x: 1 - x, lambda x: x),
        (lambda x: x.clone(), lambda x: x),
    ],
    ids=["black", "white-black", "white", "constant", "anti-correlated", "identical"],
)
def test_value_and_gradient_are_finite_and_within_0_and_1(make_hat, make):
    _, x = speckle(176, 256)
    value, gradient = value_and_gradient(ms_ssim, make_hat(x), make(x))
    assert ((value >= 0) & (value <= 1 + 1e-6)).all()
    assert gradient.isfinite().all()


def test_anti_correlated_images_score_zero_and_identical_ones_one():
    _, x = speckle(176, 256)
    stripes = (torch.arange(256) // 32 % 2).float().expand(1, 1, 176, 256)
    assert ms_ssim(1 - stripes, stripes) < 1e-3
    torch.testing.assert_close(ms_ssim(x, x), torch.ones(2))


def test_anti_correlation_at_one_scale_still_lets_the_others_learn():
    column = torch.arange(256)
    coarse, fine = (column // 64 % 2).float() / 2, (column % 2).float() / 2
    x = (coarse + fine).expand(1, 1, 176, 256)
    x_hat = (0.8 * coarse + 0.5 - fine).expand(1, 1, 176, 256)
    value, gradient = value_and_gradient(ms_ssim, x_hat, x)
    assert reference(x_hat, x) == 0
    assert value > 0
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_an_image_scores_the_same_alone_and_in_a_batch():
    x_hat, x = speckle(176, 256, batch=3)
    torch.testing.assert_close(ms_ssim(x_hat, x)[1:2], ms_ssim(x_hat[1:2], x[1:2]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(160, 256), (256, 100)])
def test_small_canvas_is_refused_with_its_size_and_the_remedy(shape):
    with pytest.raises(ValueError, match=rf"161 px.*{shape[0]}x{shape[1]}.*larger canvas"):
        ms_ssim(*speckle(*shape))


def test_unequal_shapes_and_swapped_arguments_are_refused():
    x_hat, x = speckle(176, 256)
    with pytest.raises(ValueError, match="shape"):
        ms_ssim(x_hat, x[..., 1:])
    with pytest.raises(ValueError, match="reconstruction first"):
        ms_ssim(x, x_hat.requires_grad_())


def in_box_by_loops(x_hat: Tensor, x: Tensor, box: list[float]) -> float:
    """Average over the map positions whose window centre, followed back to the image, lies in the box."""
    x1, y1, x2, y2 = box
    height, width = x.shape[-2:]
    shift = [0.0, 0.0]
    result = 1.0
    for scale, (similarity, weight) in enumerate(zip(ssim_maps(x_hat, x), WEIGHTS, strict=True)):
        px = 2**scale
        inside = [
            similarity[0, 0, i, j]
            for i in range(similarity.shape[2])
            for j in range(similarity.shape[3])
            if y1 <= (i + 5.5) * px - shift[0] < y2 and x1 <= (j + 5.5) * px - shift[1] < x2
        ]
        result *= float(torch.stack(inside).mean()) ** weight
        shift = [shift[0] + px * (height % 2), shift[1] + px * (width % 2)]
        height, width = (height + 1) // 2, (width + 1) // 2
    return result


@pytest.mark.parametrize("shape", [(192, 256), (203, 217)])
def test_region_averages_the_map_positions_in_the_box(shape):
    x_hat, x = (image.double() for image in speckle(*shape, batch=1))
    box = [60.25, 70.5, 160.0, 118.75]
    assert float(roi_ms_ssim(x_hat, x, torch.tensor([box]))) == pytest.approx(in_box_by_loops(x_hat, x, box))


def test_region_of_the_whole_canvas_is_the_whole_image():
    x_hat, x = speckle(187, 256)
    box = torch.tensor([[0.0, 0, 256, 187]] * 2)
    torch.testing.assert_close(roi_ms_ssim(x_hat, x, box), ms_ssim(x_hat, x))


def test_region_sees_damage_inside_it_and_not_far_away():
    _, x = speckle(352, 512, batch=2)
    x_hat = x.clone()
    x_hat[0, :, 20:40, 300:340] = 0.5
    box = torch.tensor([[300.0, 20, 340, 40]] * 2)
    far = torch.tensor([[40.0, 320, 60, 340]] * 2)
    assert roi_ms_ssim(x_hat, x, box)[0] < 0.8
    torch.testing.assert_close(roi_ms_ssim(x_hat, x, box)[1], torch.tensor(1.0))
    torch.testing.assert_close(roi_ms_ssim(x_hat, x, far), torch.ones(2))


@pytest.mark.parametrize("box", [[0.0, 0, 1, 1], [255, 175, 256, 176], [100.1, 80.1, 100.2, 80.2]])
def test_a_tiny_box_anywhere_has_a_value_and_a_gradient(box):
    x_hat, x = speckle(176, 256, batch=1)
    value, gradient = value_and_gradient(lambda a, b: roi_ms_ssim(a, b, torch.tensor([box])), x_hat, x)
    assert 0 <= value <= 1
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_maps_computed_once_give_the_same_region():
    x_hat, x = speckle(176, 256)
    box = torch.tensor([[10.0, 20, 60, 50], [100, 90, 200, 150]])
    shared = combine_maps_in_box(ssim_maps(x_hat, x), box, (176, 256))
    torch.testing.assert_close(shared, roi_ms_ssim(x_hat, x, box))
