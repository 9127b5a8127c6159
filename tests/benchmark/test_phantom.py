"""The statistics of images against images of known statistics, and the phantom against real ones."""

from pathlib import Path

import numpy as np
import pytest

from ushydra_lab.benchmark.image_statistics import lumen_and_walls, skull_grey, spectral_slope
from ushydra_lab.benchmark.phantom import LIKENESSES, REAL_DATA, Likeness, phantom_statistics, real_statistics

TOLERANCE = 0.25


@pytest.mark.parametrize("power", [-3.0, -5.0])
def test_the_slope_of_noise_with_a_known_spectrum_is_its_power(power: float) -> None:
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(300)[:, None], np.fft.fftfreq(400))
    frequency[0, 0] = 1
    noise = np.fft.ifft2(np.fft.fft2(rng.standard_normal((300, 400))) * frequency ** (power / 2)).real
    assert spectral_slope(noise) == pytest.approx(power, abs=0.15)


def test_lumen_and_walls_of_two_lines_of_known_grey() -> None:
    grey = np.full((80, 120), 0.4)
    grey[30:34], grey[34:40], grey[40:44] = 0.6, 0.1, 0.9
    assert lumen_and_walls(grey, (10, 28, 110, 46)) == pytest.approx((0.1, 0.9))


def test_the_skull_s_grey_is_that_of_the_ring_the_end_points_span() -> None:
    y, x = np.mgrid[:200, :300] + 0.5
    u, v = (x - 150) * 0.8 + (y - 100) * 0.6, (y - 100) * 0.8 - (x - 150) * 0.6
    radius = np.hypot(u / 80, v / 60)
    grey = np.where(np.abs(radius - 0.97) < 0.12, 0.7, 0.2)
    ends = np.array([[150 - 64, 100 - 48], [150 + 64, 100 + 48], [150 + 36, 100 - 48], [150 - 36, 100 + 48]], float)
    assert skull_grey(grey, ends) == pytest.approx(0.7)


@pytest.mark.parametrize("scene", LIKENESSES)
def test_the_phantom_at_real_has_the_statistics_of_real_images(scene: str) -> None:
    """Means within 25 % or one SD of real images; SDs, of so few images, nearer to the real ones than at `easy`."""
    published = LIKENESSES[scene].published
    real, easy = (phantom_statistics(scene, difficulty, 10) for difficulty in ("real", "easy"))
    assert list(real) == list(published)
    for name, (reference, sd) in published.items():
        allowed = max(TOLERANCE * abs(reference), sd, 0 if sd else abs(easy[name][0] - reference))
        assert real[name][0] == pytest.approx(reference, abs=allowed), name
    off = [np.mean([abs(one[name][0] / published[name][0] - 1) for name in published]) for one in (real, easy)]
    assert off[0] < 0.7 * off[1]


@pytest.mark.real
@pytest.mark.parametrize("likeness", LIKENESSES.values(), ids=LIKENESSES)
def test_real_images_are_measured_where_they_are_given(
    likeness: Likeness, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REAL_DATA, str(real_data))
    measured, source = real_statistics(likeness)
    assert REAL_DATA in source
    assert list(measured) == list(likeness.published)
    monkeypatch.delenv(REAL_DATA)
    assert real_statistics(likeness) == (likeness.published, f"stored: {likeness.source}")
