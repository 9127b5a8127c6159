import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ushydra_lab.phantom.speckle import (
    LinearScan,
    Pulse,
    Scan,
    SectorScan,
    Tissue,
    blur,
    complex_noise,
    envelope,
    log_compress,
    scan_convert,
)

LINEAR = LinearScan(width=50, depth=40, samples=500, lines=250)
SECTOR = SectorScan(radius=60, angle=0.25, width=50, depth=40, samples=520, lines=250)


def uniform(scan: LinearScan | SectorScan, attenuation: float = 0.0) -> Tissue:
    shape = (scan.samples, scan.lines)
    zero = np.zeros(shape, np.float32)
    return Tissue(scatter=zero, specular=zero, attenuation=np.full(shape, attenuation, np.float32))


@pytest.mark.parametrize("scan", [LINEAR, SECTOR], ids=["linear", "sector"])
def test_fully_developed_speckle_has_the_rayleigh_envelope_snr(scan: LinearScan | SectorScan) -> None:
    pulse = Pulse(axial=0.13, lateral=0.34)
    ratios = []
    for seed in range(4):
        inner = envelope(np.random.default_rng(seed), uniform(scan), scan, pulse, -60)[20:-20, 20:-20]
        ratios.append(inner.mean() / inner.std())
    assert np.mean(ratios) == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.03)


def test_soft_tissue_has_unit_power_at_every_depth_although_the_beam_widens() -> None:
    rng, pulse = np.random.default_rng(0), Pulse(axial=0.13, lateral=0.34, spread=10)
    power = np.mean([envelope(rng, uniform(SECTOR), SECTOR, pulse, -60) ** 2 for _ in range(4)], axis=0)
    for rows in np.array_split(power[20:-20, 30:-30], 4):
        assert rows.mean() == pytest.approx(1, rel=0.08)


def test_correlation_of_blurred_noise_follows_the_gaussian_pulse_row_by_row() -> None:
    """White noise through a Gaussian of s.d. s is correlated exp(-lag^2 / (4 s^2))."""
    lateral = np.repeat(np.array([1.5, 4.0], np.float32), 300)
    field = blur(complex_noise(np.random.default_rng(0), (600, 600)), 2.0, lateral)
    for rows, sigma in ((field[20:280], 1.5), (field[320:580], 4.0)):
        inner = rows[:, 20:-20]
        for lag in (1, 2, 4):
            product = (inner[:, lag:] * inner[:, :-lag].conj()).mean().real
            expected = np.exp(-(lag**2) / 4 / sigma**2)
            assert product / (abs(inner) ** 2).mean() == pytest.approx(expected, abs=0.03)


def test_attenuation_is_the_given_number_of_decibels_per_mm() -> None:
    pulse = Pulse(axial=0.13, lateral=0.34)
    echo = envelope(np.random.default_rng(0), uniform(LINEAR, 0.5), LINEAR, pulse, -90)
    decibel = 10 * np.log10((echo[20:-20] ** 2).mean(axis=1))
    depth = np.arange(len(decibel)) * LINEAR.depth / (LINEAR.samples - 1)
    assert np.polyfit(depth, decibel, 1)[0] == pytest.approx(-0.5, abs=0.02)


def test_log_compression_maps_the_dynamic_range_to_black_and_white() -> None:
    amplitude = np.array([10.0, 1.0, 10 ** (-25 / 20), 10 ** (-50 / 20), 0.0])
    assert log_compress(amplitude, 0, 50) == pytest.approx([1, 1, 0.5, 0, 0], abs=1e-6)


scans = st.one_of(
    st.builds(LinearScan, st.floats(20, 80), st.floats(20, 60), st.integers(50, 90), st.integers(40, 80)),
    st.builds(
        SectorScan,
        radius=st.floats(5, 120),
        angle=st.floats(0.1, 0.7),
        width=st.floats(20, 80),
        depth=st.floats(20, 60),
        samples=st.integers(50, 90),
        lines=st.integers(40, 80),
    ),
)


@given(scans)
def test_every_sample_is_located_where_it_was_taken(scan: LinearScan | SectorScan) -> None:
    row, line = scan.locate(*scan.points())
    rows, lines = np.mgrid[: scan.samples, : scan.lines]
    assert np.abs(row - rows).max() < 0.01
    assert np.abs(line - lines).max() < 0.01


@given(scans)
def test_line_spacing_is_the_distance_between_neighbouring_beams(scan: LinearScan | SectorScan) -> None:
    x, y = (values.astype(float) for values in scan.points())
    middle = scan.lines // 2
    gap = np.hypot(x[:, middle] - x[:, middle - 1], y[:, middle] - y[:, middle - 1])
    assert scan.line_mm() == pytest.approx(gap, rel=2e-3)


@pytest.mark.parametrize("scan", [LINEAR, SECTOR])
def test_scan_conversion_puts_a_linear_pattern_where_it_belongs(scan: Scan) -> None:
    x, y = np.meshgrid(np.linspace(-12, 12, 30), np.linspace(-18, 18, 30))
    beam_x, beam_y = scan.points()
    image = scan_convert((beam_x + 2 * beam_y).astype(np.float32), scan, x, y, outside=0)
    assert image == pytest.approx(x + 2 * y, abs=0.02)


def test_pixels_outside_the_sector_get_the_background() -> None:
    corner = scan_convert(np.ones((520, 250), np.float32), SECTOR, np.array([-24.0]), np.array([-19.0]), 0.25)
    assert corner == pytest.approx([0.25])
