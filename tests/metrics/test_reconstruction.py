"""Reconstruction metrics agree with skimage and the losses, and regions ignore what is outside."""

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from ushydra_lab.losses.ms_ssim import ms_ssim, roi_ms_ssim
from ushydra_lab.losses.roi import roi_edge, roi_l1
from ushydra_lab.metrics.reconstruction import reconstruction_metrics

BOX = torch.tensor([[60.0, 70, 100, 90], [120, 40, 180, 80]])
CONTENT = torch.tensor([[32.0, 0, 224, 176], [0, 20, 256, 156]])


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(2, 1, 176, 256, generator=generator)
    x[0, ..., :32] = x[0, ..., 224:] = x[1, :, :20] = x[1, :, 156:] = 0
    return (x + 0.1 * torch.randn(x.shape, generator=generator)).clamp(0, 1), x


def test_psnr_of_the_whole_image_agrees_with_skimage(pair):
    x_hat, x = pair
    metrics = reconstruction_metrics(x_hat, x, BOX, CONTENT)
    expected = [peak_signal_noise_ratio(a.numpy(), b.numpy(), data_range=1) for a, b in zip(x, x_hat, strict=True)]
    assert metrics["psnr"].tolist() == pytest.approx(expected, abs=1e-4)


def test_the_judge_of_ms_ssim_is_not_the_loss_and_agrees_with_it(pair):
    assert reconstruction_metrics(*pair, BOX, CONTENT)["ms_ssim"].tolist() == pytest.approx(
        ms_ssim(*(image.double() for image in pair)).tolist(), abs=1e-5
    )


def test_black_and_anti_correlated_images_have_an_ms_ssim(pair):
    _, x = pair
    black = torch.zeros_like(x)
    assert reconstruction_metrics(black, black, BOX, CONTENT)["ms_ssim"].tolist() == [1, 1]
    assert (reconstruction_metrics(black, x, BOX, CONTENT)["ms_ssim"] < 0.1).all()
    assert reconstruction_metrics(1 - x, x, BOX, CONTENT)["ms_ssim"].tolist() == [0, 0]


def test_autocast_does_not_lower_the_precision_of_the_judge(pair):
    with torch.autocast("cpu", torch.bfloat16):
        lowered = reconstruction_metrics(*pair, BOX, CONTENT)["ms_ssim"]
    assert torch.equal(lowered, reconstruction_metrics(*pair, BOX, CONTENT)["ms_ssim"])


def test_a_canvas_too_small_for_five_scales_is_refused():
    small = torch.rand(1, 1, 160, 200)
    with pytest.raises(ValueError, match="at least 161 px a side"):
        reconstruction_metrics(small, small, BOX[:1], CONTENT[:1])


def test_content_psnr_is_that_of_the_cropped_content(pair):
    x_hat, x = pair
    expected = []
    for a, b, box in zip(x.numpy(), x_hat.numpy(), CONTENT.int().tolist(), strict=True):
        crop = (0, slice(box[1], box[3]), slice(box[0], box[2]))
        expected.append(peak_signal_noise_ratio(a[crop], b[crop], data_range=1))
    assert reconstruction_metrics(x_hat, x, BOX, CONTENT)["psnr_content"].tolist() == pytest.approx(expected, abs=1e-4)


def test_perfect_padding_inflates_the_full_metrics_and_not_the_content_ones(pair):
    x_hat, x = pair
    x_hat = torch.where(x == 0, x, x_hat)
    metrics = reconstruction_metrics(x_hat, x, BOX, CONTENT)
    assert (metrics["psnr"] > metrics["psnr_content"]).all()
    assert (metrics["ms_ssim"] > metrics["ms_ssim_content"]).all()


def test_box_metrics_are_the_losses(pair):
    metrics = reconstruction_metrics(*pair, BOX, CONTENT)
    torch.testing.assert_close(metrics["roi_mae"], roi_l1(*pair, BOX))
    torch.testing.assert_close(metrics["roi_edge_mae"], roi_edge(*pair, BOX, norm="reference"))
    torch.testing.assert_close(metrics["roi_ms_ssim"], roi_ms_ssim(*pair, BOX))
    torch.testing.assert_close(metrics["ms_ssim_content"], roi_ms_ssim(*pair, CONTENT))


def test_identical_images_are_perfect(pair):
    _, x = pair
    metrics = reconstruction_metrics(x, x, BOX, CONTENT)
    assert metrics["psnr"].isinf().all()
    assert metrics["psnr_content"].isinf().all()
    for name in ("ms_ssim", "ms_ssim_content", "roi_ms_ssim"):
        torch.testing.assert_close(metrics[name], torch.ones(2))
    assert (metrics["roi_mae"] == 0).all()
    assert (metrics["roi_edge_mae"] == 0).all()


def test_metrics_of_an_image_do_not_depend_on_its_batch(pair):
    both = reconstruction_metrics(*pair, BOX, CONTENT)
    alone = reconstruction_metrics(pair[0][1:], pair[1][1:], BOX[1:], CONTENT[1:])
    for name, values in both.items():
        torch.testing.assert_close(values[1:], alone[name], msg=name)


@pytest.mark.parametrize("bad", [[60.0, 70, 60, 90], [60, 70, float("nan"), 90]])
def test_degenerate_boxes_are_refused(pair, bad):
    with pytest.raises(ValueError, match="NT boxes must be finite"):
        reconstruction_metrics(*pair, torch.tensor([bad, bad]), CONTENT)
