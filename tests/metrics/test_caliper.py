import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from ushydra_lab.metrics.caliper import nt_thickness
from ushydra_lab.phantom import Record, render
from ushydra_lab.phantom.hospitals import MACHINES

from .nt_boxes import CANVASES, TESTED, Case, of_phantom, of_real, without_nt

SITES = tuple(MACHINES)

BOX = torch.tensor([[20.0, 30.0, 220.0, 80.0]])
KEYS = ("nt_x1", "nt_y1", "nt_x2", "nt_y2")


def strip(
    thickness: float, slope: float = 0.0, bend: float = 0.0, line: float = 3.5, pulse: float = 1.0, decibel: float = 45
) -> torch.Tensor:
    """Two bright lines in grey tissue around a dark lumen, (1, 1, 110, 240), as a machine would show them.

    The lumen's inner borders are exactly `thickness` apart at right angles to the centre line. A Gaussian pulse (SD
    in px) blurs the echoes; grey is the logarithm of their amplitude. 16 samples per pixel row.
    """
    y = (torch.arange(110 * 16) + 0.5) / 16
    x = torch.arange(240) + 0.5 - 120
    tangent = slope + 2 * bend * x
    offset = (y[:, None] - 55 - slope * x - bend * x**2) / torch.sqrt(1 + tangent**2)
    inside, behind = (torch.special.ndtr((offset.abs() - thickness / 2 - d) / pulse) for d in (0, line))
    amplitude = 0.002 + inside - 0.9 * behind
    grey = (1 + 20 * amplitude.log10() / decibel).clamp(0, 1)
    return grey.reshape(110, 16, 240).mean(dim=1)[None, None]


@settings(deadline=None, max_examples=40)
@given(st.floats(5, 30), st.floats(-0.08, 0.08))
def test_a_known_thickness_is_measured_within_four_tenths_of_a_pixel(thickness: float, slope: float) -> None:
    assert nt_thickness(strip(thickness, slope), BOX).item() == pytest.approx(thickness, abs=0.4)


@pytest.mark.parametrize("decibel", [40, 50, 60])
@pytest.mark.parametrize("pulse", [0.8, 1.2, 2.0])
def test_the_blur_of_the_lines_into_the_fluid_is_not_taken_off_the_thickness(pulse: float, decibel: float) -> None:
    """Half-way in grey between lumen and line would be 2 to 4 SD of the pulse too little over both borders."""
    image = strip(16, line=4 * pulse, pulse=pulse, decibel=decibel)
    assert nt_thickness(image, BOX).item() == pytest.approx(16, abs=0.6 * pulse)


def test_what_is_brighter_than_a_line_and_lies_behind_it_does_not_count() -> None:
    image = strip(12, decibel=60) * 0.7
    bright = image.clone()
    bright[..., :40, :] = 1
    plain, beside = (nt_thickness(one, BOX).item() for one in (image, bright))
    assert beside == pytest.approx(plain, abs=0.1)


def test_a_steep_strip_is_measured_at_right_angles() -> None:
    steep = strip(10, slope=0.3)
    box = torch.tensor([[60.0, 25.0, 180.0, 85.0]])
    vertical = 10 * math.sqrt(1 + 0.3**2)
    measured = nt_thickness(steep, box).item()
    assert measured == pytest.approx(10, abs=0.3)
    assert vertical - measured > 0.2


def test_a_curved_strip_is_measured() -> None:
    assert nt_thickness(strip(8, bend=-0.001), BOX).item() == pytest.approx(8, abs=0.3)


def test_the_widest_place_counts() -> None:
    narrow, wide = strip(6), strip(12)
    both = torch.cat([narrow[..., :90], wide[..., 90:150], narrow[..., 150:]], dim=-1)
    assert nt_thickness(both, BOX).item() == pytest.approx(12, abs=0.3)


@pytest.mark.parametrize("grey", [0.0, 0.4, 1.0])
def test_a_box_without_lines_is_nan(grey: float) -> None:
    assert nt_thickness(torch.full((1, 1, 110, 240), grey), BOX).isnan().all()


def test_a_single_edge_is_nan() -> None:
    edge = torch.zeros(1, 1, 110, 240)
    edge[:, :, 55:] = 0.9
    assert nt_thickness(edge, BOX).isnan().all()


def test_images_of_a_batch_are_measured_alone_and_repeatably() -> None:
    images = torch.cat([strip(6), torch.zeros(1, 1, 110, 240), strip(15)])
    boxes = BOX + torch.tensor([[0.0], [3.0], [5.0]])
    together = nt_thickness(images, boxes)
    alone = torch.cat([nt_thickness(images[k : k + 1], boxes[k : k + 1]) for k in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5, equal_nan=True)
    assert torch.equal(together.nan_to_num(), nt_thickness(images, boxes).nan_to_num())


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="need"):
        nt_thickness(torch.zeros(2, 1, 9, 9), BOX)


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [render("nt", 11, site, index) for site in SITES for index in range(12)]


def measure(record: Record, scale: float) -> float:
    """Thickness in mm after resizing the image by `scale`."""
    height, width = record.image.shape
    size = (round(width * scale), round(height * scale))
    resized = np.array(Image.fromarray(record.image).resize(size, Image.Resampling.BILINEAR))
    factors = [size[0] / width, size[1] / height] * 2
    box = torch.tensor([[record.annotations[k] * f for k, f in zip(KEYS, factors, strict=True)]])
    pixels = nt_thickness(torch.from_numpy(resized)[None, None] / 255, box.float())
    return pixels.item() * record.pixel_mm / scale


@pytest.mark.parametrize("scale", [1.0, 2.0, 0.37], ids=["native", "872x1280", "176x256"])
def test_the_phantoms_true_thickness_is_found(records: list[Record], scale: float) -> None:
    measured = np.array([measure(record, scale) for record in records])
    truth = np.array([record.annotations["nt_mm"] for record in records])
    site = np.array([record.site for record in records])
    for name in SITES:
        error = (measured - truth)[site == name]
        assert np.corrcoef(measured[site == name], truth[site == name])[0, 1] > 0.9
        assert abs(error.mean()) < 0.08
        assert error.std(ddof=1) < 0.08


def share_measured(cases: Iterable[Case], canvas: str) -> float:
    """Of the cases that the gate was not fitted on."""
    tested = [case.on(CANVASES[canvas])[:2] for case in cases if case.half == TESTED]
    return float(np.mean([not nt_thickness(image, box).isnan().item() for image, box in tested]))


@pytest.fixture(scope="module")
def phantoms() -> dict[str, list[Case]]:
    cases = [*of_phantom(5, 14), *without_nt("speckle", 5, 14), *without_nt("left out", 5, 14)]
    return {kind: [case for case in cases if case.kind == kind] for kind in {case.kind for case in cases}}


@pytest.mark.parametrize("canvas", CANVASES)
def test_phantom_boxes_are_measured_where_they_show_an_nt(phantoms: dict[str, list[Case]], canvas: str) -> None:
    assert share_measured(phantoms["phantom nt"], canvas) >= 0.95
    for kind in ("phantom elsewhere", "phantom speckle"):
        assert share_measured(phantoms[kind], canvas) <= 0.05
    assert share_measured(phantoms["phantom left out"], canvas) <= 0.1  # amniotic fluid behind the neck stays


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.0])
def test_a_strip_that_a_network_has_smoothed_is_still_measured_and_one_wiped_out_is_not(sigma: float) -> None:
    image, box, _ = next(of_phantom(5, 1)).on(None)
    smooth = torch.from_numpy(gaussian_filter(image.numpy(), (0, 0, sigma, sigma)))
    assert not nt_thickness(smooth, box).isnan().item()
    wiped = torch.from_numpy(gaussian_filter(image.numpy(), (0, 0, 20, 20)))
    assert nt_thickness(wiped, box).isnan().item()


@pytest.mark.real
@pytest.mark.parametrize("canvas", CANVASES)
def test_real_boxes_are_measured_where_they_show_an_nt(canvas: str, real_data: Path) -> None:
    """Sensitivity stays short of the 95 % wanted by an image or two of walls that are barely there."""
    cases = list(of_real(real_data))
    shown = {"real nt": [], "real elsewhere": [], "others": []}
    for case in cases:
        shown[case.kind if case.kind in shown else "others"].append(case)
    assert share_measured(shown["real nt"], canvas) >= 0.9
    assert share_measured(shown["others"], canvas) <= 0.05
    assert share_measured(shown["real elsewhere"], canvas) <= 0.05
