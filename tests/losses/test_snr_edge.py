"""The SNR-weighted edge loss equals its definition on the whole image, and trusts noisy places less."""

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve, uniform_filter
from skimage.filters import sobel
from torch import Tensor

from ushydra_lab.geometry.boxes import box_mask
from ushydra_lab.losses.roi import roi_edge
from ushydra_lab.losses.snr_edge import noise_sd, roi_snr_edge

H, W = 40, 61
BOX = torch.tensor([[20.0, 14, 45, 30], [0, 0, 61, 40], [52, 30, 61, 40]])


def immerkaer(grain: int) -> np.ndarray:
    mask = np.zeros((2 * grain + 1, 2 * grain + 1))
    mask[::grain, ::grain] = [[1, -2, 1], [-2, 4, -2], [1, -2, 1]]
    return mask


def images(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(3, 1, H, W, generator=generator, dtype=torch.float64)
    x[..., W // 2 :] = 0.5 + 0.1 * x[..., W // 2 :]
    return (x + 0.1 * torch.randn(x.shape, generator=generator)).clamp(0, 1), x


def by_definition(a: np.ndarray, b: np.ndarray, mask: np.ndarray, window: int, grain: int) -> float:
    edge = window + 2 * grain
    noise = uniform_filter(np.abs(convolve(np.pad(b, edge, mode="edge"), immerkaer(grain))), window)
    noise = np.sqrt(0.75) * np.sqrt(np.pi / 2) / 6 * noise[edge:-edge, edge:-edge]
    scale = np.percentile(sobel(b)[mask], 99)
    snr = scale / noise
    return float(np.average((np.abs(sobel(a) - sobel(b)) / scale)[mask], weights=(snr**2 / (1 + snr**2))[mask]))


@pytest.mark.parametrize(("window", "grain"), [(3, 1), (7, 4)])
def test_it_is_the_weighted_mean_of_the_whole_image_s_edges(window: int, grain: int) -> None:
    x_hat, x = images()
    triples = zip(x_hat[:, 0].numpy(), x[:, 0].numpy(), box_mask(BOX, (H, W))[:, 0].numpy(), strict=True)
    expected = [by_definition(*triple, window, grain) for triple in triples]
    np.testing.assert_allclose(roi_snr_edge(x_hat, x, BOX, window, grain).numpy(), expected, rtol=1e-9)


def test_the_noise_is_that_of_the_place_and_straight_edges_are_none() -> None:
    noise = 0.07 * torch.randn(300, 300, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    step = torch.zeros(300, 300, dtype=torch.float64)
    step[150:] = step[:, 90:] = 0.6
    assert noise_sd(noise[None], 7).mean() == pytest.approx(0.07, rel=0.02)
    corner = torch.ones_like(step, dtype=torch.bool)
    corner[140:160, 80:100] = False
    assert (noise_sd(step[None], 7)[0][corner[4:-4, 4:-4]] == 0).all()


def test_speckle_that_is_alike_over_a_few_px_counts_whole_from_that_spacing_on() -> None:
    white = torch.randn(1, 1, 400, 400, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    speckle = torch.nn.functional.avg_pool2d(white, 4, stride=1)[0] * 4 * 0.07
    found = [float(noise_sd(speckle, 7, grain).mean()) for grain in (1, 2, 4)]
    assert found[2] == pytest.approx(0.07, rel=0.03)
    assert found[0] < 0.5 * found[2]


def test_without_noise_it_is_roi_edge_and_errors_in_noise_count_less() -> None:
    clean = torch.zeros(1, 1, H, W, dtype=torch.float64)
    clean[..., 20:, :] = 0.8
    box = torch.tensor([[4.0, 8, 56, 34]])
    torch.testing.assert_close(roi_snr_edge(clean / 2, clean, box), roi_edge(clean / 2, clean, box))
    noisy = clean.clone()
    noisy[..., W // 2 :] += 0.1 * torch.randn(H, W - W // 2, generator=torch.Generator().manual_seed(2))
    losses = {}
    for side, columns in {"clean": slice(8, 22), "noisy": slice(38, 52)}.items():
        wrong = noisy.clone()
        wrong[..., 12:16, columns] += 0.2
        losses[side] = float(roi_snr_edge(wrong, noisy, box) / roi_edge(wrong, noisy, box))
    assert losses["clean"] > 1 > losses["noisy"]


def test_gradients_are_those_of_finite_differences() -> None:
    x_hat, x = images()
    assert torch.autograd.gradcheck(lambda a: roi_snr_edge(a, x, BOX), (x_hat.requires_grad_(),), fast_mode=True)


def test_a_black_box_is_finite_and_an_even_window_is_refused() -> None:
    black = torch.zeros(3, 1, H, W)
    assert (roi_snr_edge(black, black, BOX) == 0).all()
    assert roi_snr_edge(images()[0].float(), black, BOX).isfinite().all()
    with pytest.raises(ValueError, match="window=4"):
        roi_snr_edge(black, black, BOX, 4)
