import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ushydra_lab.phantom.quality import LOW_WINDOW, Fan
from ushydra_lab.phantom.speckle import Tissue

fans = st.builds(
    Fan,
    radius=st.floats(6, 80),
    angle=st.floats(0.3, 0.8),
    depth=st.floats(50, 180),
    samples=st.integers(50, 90),
    lines=st.integers(41, 81),
)


@given(fans)
def test_every_sample_of_a_fan_is_located_where_it_was_taken(fan: Fan) -> None:
    row, line = fan.locate(*fan.points())
    rows, lines = np.mgrid[: fan.samples, : fan.lines]
    assert np.abs(row - rows).max() < 0.01
    assert np.abs(line - lines).max() < 0.01


@given(fans)
def test_a_fan_just_fits_into_its_depth_between_its_two_arcs(fan: Fan) -> None:
    y = fan.points()[1]
    assert y.min() == pytest.approx(-fan.depth / 2, abs=1e-3)
    assert y[-1].max() == pytest.approx(fan.depth / 2, abs=0.01 * fan.depth)


@given(fans)
def test_line_spacing_of_a_fan_is_the_distance_between_neighbouring_beams(fan: Fan) -> None:
    x, y = (values.astype(float) for values in fan.points())
    middle = fan.lines // 2
    gap = np.hypot(x[:, middle] - x[:, middle - 1], y[:, middle] - y[:, middle - 1])
    assert fan.line_mm() == pytest.approx(gap, rel=5e-3)


def test_a_window_hides_fluid_near_the_probe_and_costs_echoes_with_depth() -> None:
    fan = Fan(radius=50, angle=0.5, depth=80, samples=200, lines=81)
    level = np.full((200, 81), -50, np.float32)
    fluid = Tissue(level, np.zeros_like(level), np.zeros_like(level))
    seen = LOW_WINDOW.cloud(np.random.default_rng(0), fluid, fan)
    near, far = seen.scatter[:20].mean(), seen.scatter[-20:].mean()
    assert near > -25
    assert far < near - 15
    assert (seen.attenuation > 0).all()
    assert np.array_equal(fluid.scatter, level)
