"""A drawn landmark is read back where it was, at the border too, and a map says how sure it is."""

import itertools
from dataclasses import replace
from math import log, pi, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ushydra_lab.geometry.heatmaps import (
    OFFSET,
    PRIOR,
    Argmax,
    Dark,
    LocalSoftArgmax,
    SoftArgmax,
    draw,
    heatmap,
    is_annotated,
    soft_argmax,
    uncertainty,
)

NAN = torch.nan


def logits_of(maps: Tensor) -> Tensor:
    """What a network that draws these maps would give; a float cannot hold the logit of 0 or 1."""
    return torch.logit(maps, eps=1e-6) - OFFSET


def decoders(sigma: float) -> list:
    return [SoftArgmax(sigma), LocalSoftArgmax(sigma), Dark(sigma)]


def drawn(points: list, size: tuple[int, int] = (32, 40), stride: float = 2, sigma: float = 4) -> Tensor:
    return draw(torch.tensor([points]), size, stride, sigma)


def with_background(peak: Tensor, level: float) -> Tensor:
    return logits_of(peak.clamp(min=level))


def test_the_gaussian_is_that_of_the_formula_cell_by_cell():
    points, stride, sigma = [[3.3, 7.9], [-1.0, 12.0]], 2, 2.5
    maps = drawn(points, (6, 7), stride, sigma)
    assert maps.shape == (1, 2, 6, 7)
    for p, i, j in itertools.product(range(2), range(6), range(7)):
        squared = ((j + 0.5) * stride - points[p][0]) ** 2 + ((i + 0.5) * stride - points[p][1]) ** 2
        assert maps[0, p, i, j].item() == pytest.approx(np.exp(-squared / (2 * sigma**2)), abs=1e-6)


def test_a_point_on_a_cells_centre_has_height_1_there():
    assert drawn([[5.0, 3.0]])[0, 0, 1, 2] == 1


@pytest.mark.parametrize("point", [[NAN, NAN], [NAN, 3.0], [3.0, NAN]])
def test_a_missing_point_is_an_empty_map_and_marked(point):
    points = torch.tensor([[point, [3.0, 3.0]]])
    maps = draw(points, (8, 8), 1, 2)
    assert (maps[0, 0] == 0).all()
    assert maps[0, 1].max() > 0.9
    assert is_annotated(points).tolist() == [[False, True]]


def test_a_fresh_network_draws_an_almost_empty_map():
    torch.testing.assert_close(heatmap(torch.zeros(1, 1, 3, 3)), torch.full((1, 1, 3, 3), PRIOR))


@settings(deadline=None, max_examples=150)
@given(
    stride=st.sampled_from([1, 2, 4]),
    cells=st.floats(1.5, 6),
    size=st.tuples(st.integers(6, 70), st.integers(6, 70)),
    where=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    level=st.sampled_from([0, 1e-4]),
)
def test_a_drawn_landmark_is_read_back_wherever_it_is(stride, cells, size, where, level):
    point = torch.tensor([where[0] * size[1], where[1] * size[0]]) * stride
    sigma = cells * stride
    logits = with_background(draw(point.expand(1, 1, 2), size, stride, sigma), level)
    for decoder in decoders(sigma):
        assert torch.dist(decoder(logits, stride)[0, 0], point) < 0.1, decoder
    assert (Argmax()(logits, stride)[0, 0] - point).abs().max() <= stride / 2 + 1e-3


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("size", [(8, 9), (64, 90)])
def test_corners_and_edges_are_no_exception(stride, size):
    sides = [[0, 0.3 * stride, n * stride / 2, (n - 0.3) * stride, n * stride] for n in (size[1], size[0])]
    points = torch.tensor(list(itertools.product(*sides)))[None]
    logits = logits_of(draw(points, size, stride, 1.5 * stride))
    for decoder in decoders(1.5 * stride):
        assert (decoder(logits, stride) - points).norm(dim=-1).max() < 0.1, decoder


@given(st.integers(0, 10**6))
@settings(deadline=None, max_examples=40)
def test_any_map_whatever_is_read_as_points_on_the_canvas_or_within_a_cell_of_it(seed):
    logits = 10 * torch.randn(2, 3, 7, 9, generator=torch.Generator().manual_seed(seed))
    for decoder in [*decoders(8), Argmax()]:
        points = decoder(logits, 4)
        assert points.shape == (2, 3, 2)
        assert (points >= -4).all()
        assert (points <= torch.tensor([40, 32])).all()


def test_a_wider_peak_than_the_drawn_one_is_found_too():
    for decoder in decoders(4.0):
        found = decoder(logits_of(drawn([[30.7, 25.2]], sigma=7)), 2)[0, 0]
        assert torch.dist(found, torch.tensor([30.7, 25.2])) < 0.5, decoder


def test_the_background_pulls_to_the_middle_only_at_temperature_1():
    logits = with_background(drawn([[10.0, 10.0]], (64, 64), 4, 6), 0.005)
    assert (soft_argmax(logits, 4, 6) - 10).abs().max() < 0.1
    assert (soft_argmax(logits, 4, 6, temperature=1.0) > 50).all()


def test_of_two_peaks_soft_argmax_takes_the_middle_and_the_local_ones_the_higher():
    two = torch.maximum(drawn([[15.0, 30.0]]), 0.9 * drawn([[65.0, 30.0]]))
    soft, *local = (decoder(logits_of(two), 2)[0, 0] for decoder in decoders(4.0))
    assert 25 < soft[0] < 55
    for point in local:
        torch.testing.assert_close(point, torch.tensor([15.0, 30.0]), atol=0.1, rtol=0)


def test_a_flat_map_is_a_defined_point_for_all():
    for decoder in [*decoders(4.0), Argmax()]:
        for size in ((6, 8), (40, 50)):
            assert decoder(torch.zeros(1, 1, *size), 2).isfinite().all(), decoder
    torch.testing.assert_close(SoftArgmax(4.0)(torch.zeros(1, 1, 6, 8), 2), torch.tensor([[[8.0, 6.0]]]))


def test_soft_argmax_without_borders_is_the_expected_position():
    logits = with_background(drawn([[40.0, 33.0]]), 1e-3)
    p = heatmap(logits)[0, 0].double() ** 2
    x, y = (torch.arange(40) + 0.5) * 2, (torch.arange(32) + 0.5) * 2
    expected = torch.stack([(p * x).sum(), (p * y[:, None]).sum()]) / p.sum()
    found = soft_argmax(logits, 2, 4, temperature=0.5)[0, 0]
    torch.testing.assert_close(found.double(), expected, atol=1e-2, rtol=0)


def test_dark_is_the_authors_taylor_expansion():
    """Reference: the authors' steps on one map, with SciPy's Gaussian filter."""
    from scipy.ndimage import gaussian_filter

    peak = (drawn([[41.3, 30.2]]) * 0.7 + drawn([[45.0, 33.0]]) * 0.25)[0, 0]
    f = np.log(gaussian_filter(peak.double().numpy(), 2.0, mode="constant", truncate=3.0))
    i, j = np.unravel_index(f.argmax(), f.shape)
    gradient = np.array([f[i, j + 1] - f[i, j - 1], f[i + 1, j] - f[i - 1, j]]) / 2
    cross = (f[i + 1, j + 1] - f[i - 1, j + 1] - f[i + 1, j - 1] + f[i - 1, j - 1]) / 4
    dxx, dyy = (f[i, j + 2] - 2 * f[i, j] + f[i, j - 2]) / 4, (f[i + 2, j] - 2 * f[i, j] + f[i - 2, j]) / 4
    step = -np.linalg.solve(np.array([[dxx, cross], [cross, dyy]]), gradient)
    expected = (np.array([j, i]) + 0.5 + step) * 2
    assert Dark(4.0)(logits_of(peak[None, None]), 2)[0, 0].numpy() == pytest.approx(expected, abs=2e-3)


def test_dark_stays_on_the_cell_where_the_logarithm_has_no_peak():
    logits = torch.full((1, 1, 11, 11), -8.0)
    for i, j in [(4, 4), (6, 6), (5, 3), (5, 7), (3, 5), (7, 5)]:
        logits[0, 0, i, j] = 4
    logits[0, 0, 5, 5], logits[0, 0, 6, 6] = 8, 5
    assert Dark(2.0)(logits, 4)[0, 0].tolist() == [22, 22]


def test_soft_argmax_has_the_gradient_of_finite_differences_in_map_and_temperature():
    logits = torch.randn(1, 2, 4, 5, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    temperature = torch.tensor([0.4, 0.9], dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z, t: soft_argmax(z, 4, 6.0, t), (logits.requires_grad_(), temperature))


def test_a_learned_temperature_takes_the_place_of_the_set_one():
    logits = with_background(drawn([[10.0, 10.0], [60.0, 50.0]]), 0.05)
    learned = nn.Parameter(torch.tensor([0.25, 0.5]))
    points = replace(SoftArgmax(4.0), temperature=learned)(logits, 2)
    each = [soft_argmax(logits, 2, 4, t)[:, i] for i, t in enumerate((0.25, 0.5))]
    torch.testing.assert_close(points, torch.stack(each, 1))
    points.sum().backward()
    assert learned.grad.abs().min() > 0


@pytest.mark.parametrize("temperature", [0.25, 1.0])
def test_uncertainty_of_a_gaussian_is_that_of_the_closed_form(temperature):
    logits = torch.logit(drawn([[60.0, 61.0]], (64, 64)).double(), eps=1e-12) - OFFSET
    found = uncertainty(logits, 2, temperature)
    variance = 4.0**2 * temperature
    assert found["entropy"].item() == pytest.approx(1 + log(2 * pi * variance / 2**2), abs=1e-3)
    assert found["spread_px"].item() == pytest.approx(sqrt(2 * variance), abs=1e-3)


def test_a_flat_map_has_the_largest_entropy_and_the_spread_of_its_cells():
    found = uncertainty(torch.zeros(2, 3, 5, 8), 3)
    torch.testing.assert_close(found["entropy"], torch.full((2, 3), log(40)))
    torch.testing.assert_close(found["spread_px"], torch.full((2, 3), 3 * sqrt((5**2 - 1 + 8**2 - 1) / 12)))


def test_two_peaks_are_less_certain_than_one_and_spread_by_their_distance():
    one, other = drawn([[15.0, 30.0]]), drawn([[65.0, 30.0]])
    two = uncertainty(logits_of(torch.maximum(one, other)), 2)
    single = uncertainty(logits_of(one), 2)
    assert (two["entropy"] - single["entropy"]).item() == pytest.approx(log(2), abs=1e-2)
    assert two["spread_px"].item() == pytest.approx(sqrt(25**2 + single["spread_px"].item() ** 2), abs=0.1)


def test_half_precision_and_autocast_change_nothing():
    logits = logits_of(drawn([[30.7, 25.2]])).bfloat16()
    for decoder in [*decoders(4.0), Argmax()]:
        expected = decoder(logits.float(), 2)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(decoder(logits, 2), expected), decoder
            assert decoder(logits, 2).dtype == torch.float32


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"\(B, P, 2\), got \(4, 2\)"):
        draw(torch.zeros(4, 2), (8, 8), 1, 2)
    with pytest.raises(ValueError, match="sigma must be above 0 px, got 0"):
        draw(torch.zeros(1, 4, 2), (8, 8), 1, 0)
    with pytest.raises(ValueError, match=r"2x2 cells, got \(1, 4, 1, 8\)"):
        SoftArgmax(2.0)(torch.zeros(1, 4, 1, 8), 1)
