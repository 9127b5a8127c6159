from math import cos, pi, sin

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from skimage.measure import EllipseModel

from ushydra_lab.geometry.ellipse import Ellipse, contour, fit

ELLIPSES = st.builds(
    lambda x, y, major, ratio, angle: Ellipse(x, y, major, ratio * major, angle),
    st.floats(-200, 1000),
    st.floats(-200, 1000),
    st.floats(20, 500),
    st.floats(0.3, 0.95),
    st.floats(-pi / 2 + 0.01, pi / 2),
)


def on(ellipse: Ellipse, start: float = 0.0, stop: float = 2 * pi, n: int = 60) -> np.ndarray:
    t = np.linspace(start, stop, n, endpoint=False)
    u, v = ellipse.major * np.cos(t), ellipse.minor * np.sin(t)
    c, s = cos(ellipse.angle), sin(ellipse.angle)
    return np.stack([ellipse.x + c * u - s * v, ellipse.y + s * u + c * v], axis=1)


def numbers(ellipse: Ellipse) -> list[float]:
    return [ellipse.x, ellipse.y, ellipse.major, ellipse.minor, ellipse.angle]


@given(ELLIPSES, st.floats(0, 2 * pi))
def test_a_fit_gives_the_ellipse_back_even_from_half_of_it(ellipse: Ellipse, start: float) -> None:
    for arc in (2 * pi, pi):
        assert numbers(fit(on(ellipse, start, start + arc))) == pytest.approx(numbers(ellipse), rel=1e-4, abs=1e-3)


@given(ELLIPSES, st.floats(-1e7, 1e7))
def test_a_fit_does_not_depend_on_where_the_origin_is(ellipse: Ellipse, away: float) -> None:
    points = on(ellipse) + away
    found = fit(points)
    assert [found.major, found.minor] == pytest.approx([ellipse.major, ellipse.minor], abs=1e-3)
    assert found.radius(points) == pytest.approx(np.ones(len(points)), abs=1e-4)


def test_a_noisy_fit_agrees_with_scikit_image() -> None:
    truth = Ellipse(400, 270, 240, 180, 0.5)
    points = on(truth, n=400) + np.random.default_rng(0).normal(0, 1, (400, 2))
    reference = EllipseModel.from_estimate(points)
    axes = sorted(reference.axis_lengths, reverse=True)
    assert numbers(fit(points))[:4] == pytest.approx([*reference.center, *axes], abs=0.05)


@given(ELLIPSES)
def test_the_perimeter_is_the_length_of_the_curve(ellipse: Ellipse) -> None:
    length, _ = quad(lambda t: np.hypot(ellipse.major * sin(t), ellipse.minor * cos(t)), 0, pi / 2)
    assert ellipse.perimeter == pytest.approx(4 * length, rel=1e-7)


@given(ELLIPSES)
def test_the_ends_of_the_axes_lie_on_the_outline_left_and_upper_first(ellipse: Ellipse) -> None:
    ofd_1, ofd_2, bpd_1, bpd_2 = ellipse.ends
    assert ellipse.radius(ellipse.ends) == pytest.approx(np.ones(4))
    assert np.hypot(*(ofd_1 - ofd_2)) == pytest.approx(2 * ellipse.major)
    assert np.hypot(*(bpd_1 - bpd_2)) == pytest.approx(2 * ellipse.minor)
    assert (ofd_1 - ofd_2) @ (bpd_1 - bpd_2) == pytest.approx(0, abs=1e-6 * ellipse.major**2)
    assert ofd_1[0] <= ofd_2[0] + 1e-9
    assert bpd_1[1] <= bpd_2[1] + 1e-9


@pytest.mark.parametrize("x", [128.0, 20.0])
def test_the_contour_of_a_mask_gives_its_ellipse_also_where_the_image_cuts_it(x: float) -> None:
    ellipse = Ellipse(x, 90, 80, 60, 0.4)
    found = fit(contour(ellipse.inside((176, 256))))
    assert numbers(found) == pytest.approx(numbers(ellipse), abs=0.4)
    assert found.perimeter == pytest.approx(ellipse.perimeter, rel=3e-3)


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((0, 2)),
        np.zeros((9, 2)),
        np.array([[0.0, 0], [1, 2], [3, 1], [5, 5]]),
        np.stack([np.arange(9.0), 3 * np.arange(9.0)], axis=1),
        np.stack([np.arange(9.0), np.full(9, 4.0)], axis=1),
    ],
)
def test_what_lies_on_no_ellipse_is_refused(points: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"ellipse|line"):
        fit(points)
