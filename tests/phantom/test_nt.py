import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ushydra_lab.phantom.hospitals import MACHINES
from ushydra_lab.phantom.nt import WALL_MM, Fetus
from ushydra_lab.phantom.shapes import Ellipse, segment

seeds = st.integers(0, 2**32 - 1)


@given(seeds)
def test_thickness_is_the_distance_between_the_inner_borders_at_the_widest_place(seed: int) -> None:
    """Brute force: from every point of one border to the nearest of the other; the largest such distance."""
    strip = Fetus.draw(np.random.default_rng(seed)).strip
    x = np.linspace(strip.left, strip.right, 2001)
    centre, cosine = strip.height(x)
    half = strip.lumen(x) / 2 / cosine
    fascia, skin = np.stack([x, centre - half]), np.stack([x, centre + half])
    inner = np.abs(x - strip.widest) < 0.3 * (strip.right - strip.left)
    gaps = [np.hypot(*(skin - point[:, None])).min() for point in fascia[:, inner][:, ::20].T]
    assert max(gaps) == pytest.approx(strip.thickness, rel=0.02)


@given(seeds, st.floats(-30, 30), st.floats(-20, 20))
def test_fetus_and_image_coordinates_are_inverse(seed: int, x: float, y: float) -> None:
    fetus = Fetus.draw(np.random.default_rng(seed))
    back = fetus.to_image(*fetus.to_fetus(np.array([x]), np.array([y])))
    assert np.concatenate(back) == pytest.approx([x, y], abs=1e-6)


@settings(max_examples=40)
@given(seeds, st.sampled_from(sorted(MACHINES)))
def test_the_box_encloses_the_visible_strip_within_a_few_pixels(seed: int, site: str) -> None:
    rng = np.random.default_rng(seed)
    fetus = Fetus.draw(rng)
    view = MACHINES[site].view(rng, fetus.size_mm)
    truth = fetus.annotations(rng, view)
    strip = fetus.strip
    x, y = (np.array([v]) for v in (strip.widest, strip.height(np.array([strip.widest]))[0][0]))
    column, row = view.to_px(*fetus.to_image(x, y))
    lines = (strip.thickness / 2 + WALL_MM) / view.pixel_mm
    assert truth["nt_x1"] < column[0] < truth["nt_x2"]
    assert truth["nt_y1"] < row[0] - 0.95 * lines
    assert row[0] + 0.95 * lines < truth["nt_y2"] or truth["nt_y2"] == view.shape[0]


@pytest.mark.parametrize("site", sorted(MACHINES))
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_dark_lumen_lies_where_the_truth_says(site: str, seed: int) -> None:
    """The mean grey across the strip rises on both sides at equal distances from the true centre line."""
    rng = np.random.default_rng(seed)
    fetus = Fetus.draw(rng)
    view = MACHINES[site].view(rng, fetus.size_mm)
    grey = MACHINES[site].acquire(rng, fetus, view)
    along = fetus.strip.widest + np.linspace(-1.5, 1.5, 40)
    offset = np.linspace(-1, 1, 201) * (fetus.strip.thickness / 2 + WALL_MM)
    column, row = view.to_px(*fetus.to_image(along, fetus.strip.height(along)[0] + offset[:, None]))
    inside = np.clip(row.astype(int), 0, view.shape[0] - 1), np.clip(column.astype(int), 0, view.shape[1] - 1)
    profile = grey[inside].mean(axis=1)
    half = (profile[:101].max() + profile.min()) / 2, (profile[100:].max() + profile.min()) / 2
    fascia = offset[:101][profile[:101] > half[0]].max()
    skin = offset[100:][profile[100:] > half[1]].min()
    assert fascia < 0 < skin
    assert (fascia + skin) / 2 / view.pixel_mm == pytest.approx(0, abs=1.5)


def test_both_facings_and_the_whole_range_of_thickness_occur() -> None:
    fetuses = [Fetus.draw(np.random.default_rng(seed)) for seed in range(400)]
    thickness = np.array([fetus.strip.thickness for fetus in fetuses])
    assert 0.4 < np.mean([fetus.facing == 1 for fetus in fetuses]) < 0.6
    assert thickness.min() < 1.1
    assert thickness.max() > 3.0


def test_distance_to_a_circle_and_its_normal_are_exact() -> None:
    x, y = np.array([7.0, 3.0, 3.0]), np.array([2.0, 2.5, -6.0])
    distance, normal = Ellipse(3, 2, 2, 2, tilt=0.4).distance(x, y)
    assert distance == pytest.approx([2, -1.5, 6], abs=1e-4)
    assert normal == pytest.approx([0, 1, -1], abs=1e-4)


def test_distance_to_a_segment_counts_from_its_ends_beyond_them() -> None:
    distance = segment(np.array([5.0, 13.0, -3.0]), np.array([2.0, 4.0, 4.0]), (0, 0), (10, 0))
    assert distance == pytest.approx([2, 5, 5])
