from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label
from scipy.special import ellipe
from scipy.stats import binomtest, fisher_exact
from skimage.measure import regionprops

from ushydra_lab.phantom import Record, render
from ushydra_lab.phantom.head import CSP, HEAD_MACHINES, LV, PARENCHYMA, Head
from ushydra_lab.phantom.hospitals import View

SITES = sorted(HEAD_MACHINES)
THESIS = {"images": 1565, "csp": 584, "lvs": 505}


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [render("head", 3, site, index) for site in SITES for index in range(5)]


@pytest.fixture(scope="module")
def heads() -> list[Head]:
    return [Head.draw(np.random.default_rng(seed)) for seed in range(3000)]


def end(record: Record, name: str) -> NDArray[np.float64]:
    return np.array([record.annotations[f"{name}_{axis}"] for axis in "xy"], float)


def diameter(record: Record, name: str) -> NDArray[np.float64]:
    return end(record, f"{name}_2") - end(record, f"{name}_1")


def in_head_axes(record: Record, of: int) -> NDArray[np.float64]:
    """(N, 2): the pixels of that label along the OFD (-1 front, 1 occiput) and the BPD (-1, 1), from the end points."""
    rows, columns = np.nonzero(record.mask == of)
    from_centre = np.stack([columns, rows], axis=1) + 0.5 - (end(record, "ofd_1") + end(record, "ofd_2")) / 2
    axes = np.stack([diameter(record, name) for name in ("ofd", "bpd")])
    return from_centre @ axes.T / (np.linalg.norm(axes, axis=1) ** 2 / 2)


def with_csp(site: str, count: int) -> list[tuple[int, Head, View]]:
    found = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        head = Head.draw(rng)
        if head.csp:
            found.append((seed, head, HEAD_MACHINES[site].view(rng, head.size_mm)))
    return found[:count]


def midline_frame(head: Head, view: View) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of every pixel, mm: place along the OFD and signed distance from the midline."""
    x, y = head.to_head(*view.grid())
    return x, y - head.midline(x)


def test_the_ellipse_with_the_moments_of_the_mask_has_the_annotated_diameters(records: list[Record]) -> None:
    for record in records:
        (region,) = regionprops((record.mask > 0).astype(int))
        assert region.axis_major_length == pytest.approx(np.linalg.norm(diameter(record, "ofd")), rel=0.01)
        assert region.axis_minor_length == pytest.approx(np.linalg.norm(diameter(record, "bpd")), rel=0.01)
        for name in ("ofd", "bpd"):
            middle = (end(record, f"{name}_1") + end(record, f"{name}_2")) / 2
            assert middle == pytest.approx(np.array(region.centroid[::-1]) + 0.5, abs=1)


def test_end_points_lie_inside_the_image_on_the_border_of_the_mask(records: list[Record]) -> None:
    for record in records:
        inside = np.pad(record.mask > 0, 2)
        distance = distance_transform_edt(inside) + distance_transform_edt(~inside)
        for name in ("ofd_1", "ofd_2", "bpd_1", "bpd_2"):
            column, row = np.floor(end(record, name)).astype(int)
            assert 0 <= column < record.image.shape[1]
            assert 0 <= row < record.image.shape[0]
            assert distance[row + 2, column + 2] <= 1.5


def test_diameters_are_perpendicular_and_of_a_fetus_of_18_to_34_weeks(records: list[Record]) -> None:
    for record in records:
        ofd, bpd = diameter(record, "ofd"), diameter(record, "bpd")
        assert ofd @ bpd == pytest.approx(0, abs=1e-3 * np.linalg.norm(ofd) * np.linalg.norm(bpd))
        assert 0.699 < np.linalg.norm(bpd) / np.linalg.norm(ofd) < 0.881
        assert 36 < np.linalg.norm(bpd) * record.pixel_mm < 95
        assert bpd[1] > 0  # the first end is nearer the probe


def test_head_circumference_is_the_perimeter_of_the_ellipse(records: list[Record]) -> None:
    for record in records:
        ofd, bpd = (np.linalg.norm(diameter(record, name)) * record.pixel_mm for name in ("ofd", "bpd"))
        assert record.annotations["hc_mm"] == pytest.approx(2 * ofd * ellipe(1 - (bpd / ofd) ** 2), rel=1e-4)


def test_spacing_is_that_of_a_whole_head_in_the_image(records: list[Record]) -> None:
    for record in records:
        assert 0.08 < record.pixel_mm < 0.6
        assert 0.1 < (record.mask > 0).mean() < 0.6


def test_the_cavum_lies_on_the_midline_in_the_front_half(records: list[Record]) -> None:
    shown = [record for record in records if (record.mask == CSP).any()]
    assert len(shown) >= 3
    for record in shown:
        place = in_head_axes(record, CSP)
        assert label(record.mask == CSP)[1] == 1
        assert -0.7 < place[:, 0].min() < place[:, 0].max() < 0
        assert place[:, 1].mean() == pytest.approx(0, abs=0.12)
        length, width = np.ptp(place, axis=0)
        assert length > width


def test_there_are_two_ventricles_one_on_each_side_well_inside_the_skull(records: list[Record]) -> None:
    shown = [record for record in records if (record.mask == LV).any()]
    assert len(shown) >= 3
    for record in shown:
        place = in_head_axes(record, LV)
        assert label(record.mask == LV)[1] == 2
        assert np.hypot(*place.T).max() < 0.9
        assert place[:, 0].mean() > 0.2
        assert 0.3 < np.mean(place[:, 1] > 0) < 0.7


def test_structures_are_present_as_often_as_in_the_thesis_and_independently(heads: list[Head]) -> None:
    csp, lvs = (np.array([getattr(head, name) is not None for head in heads]) for name in ("csp", "lvs"))
    for name, present in (("csp", csp), ("lvs", lvs)):
        share = THESIS[name] / THESIS["images"]
        assert binomtest(int(present.sum()), len(present), share).pvalue > 0.01
    assert fisher_exact([[np.sum((csp == a) & (lvs == b)) for a in (0, 1)] for b in (0, 1)]).pvalue > 0.01


def test_most_midlines_are_near_the_horizontal_and_the_front_is_on_either_side(heads: list[Head]) -> None:
    slope = np.array([np.degrees(np.arctan(np.tan(head.angle))) for head in heads])
    assert 0.85 < np.mean(np.abs(slope) <= 35) < 0.95
    assert np.abs(slope).max() > 80
    assert 0.45 < np.mean([np.cos(head.angle) > 0 for head in heads]) < 0.55


@pytest.mark.parametrize("site", SITES)
def test_the_whole_skull_lies_in_the_scanned_field(site: str, heads: list[Head]) -> None:
    turn = np.linspace(0, 2 * np.pi, 100)
    for seed, head in enumerate(heads):
        view = HEAD_MACHINES[site].view(np.random.default_rng(seed), head.size_mm)
        assert view.visible(*head.to_image(head.a * np.cos(turn), head.b * np.sin(turn))).all()


@given(st.integers(0, 2**32 - 1), st.floats(-60, 60), st.floats(-60, 60))
def test_head_and_image_coordinates_are_inverse(seed: int, x: float, y: float) -> None:
    head = Head.draw(np.random.default_rng(seed))
    back = head.to_image(*head.to_head(np.array([x]), np.array([y])))
    assert np.concatenate(back) == pytest.approx([x, y], abs=1e-6)


def test_the_skull_is_brighter_than_the_brain_and_the_fluid_beyond(records: list[Record]) -> None:
    for record in records:
        depth = distance_transform_edt(record.mask > 0) * record.pixel_mm
        assert record.image[(depth > 0.3) & (depth < 2.3)].mean() > 1.3 * record.image[depth > 6].mean()


@pytest.mark.parametrize("site", SITES)
def test_the_cavum_is_darker_than_its_surroundings(site: str) -> None:
    for seed, head, view in with_csp(site, 3):
        grey = HEAD_MACHINES[site].acquire(np.random.default_rng(seed), head, view)
        distance = head.csp.distance(*midline_frame(head, view))
        inside, ring = distance < -0.25 * head.csp.width, (distance > 0) & (distance < 3)
        assert grey[inside].mean() < 0.75 * grey[ring].mean()


@pytest.mark.parametrize("site", SITES)
def test_erasing_the_cavum_leaves_the_rest_of_the_image_and_the_mask_alone(site: str) -> None:
    for seed, head, view in with_csp(site, 2):
        erased = replace(head, csp=None)
        before, after = (
            HEAD_MACHINES[site].acquire(np.random.default_rng(seed), each, view) for each in (head, erased)
        )
        distance = head.csp.distance(*midline_frame(head, view))
        assert np.abs(before - after)[distance > 8].max() < 1 / 255
        assert np.abs(before - after)[distance < 0].mean() > 5 / 255
        labels, without = head.labels(*view.grid()), erased.labels(*view.grid())
        assert (without[labels == CSP] == PARENCHYMA).all()
        assert (without == labels)[labels != CSP].all()


def test_the_midline_runs_through_where_the_cavum_is_lacking() -> None:
    ratio = []
    for seed, head, view in with_csp("hospital_a", 6):
        grey = HEAD_MACHINES["hospital_a"].acquire(np.random.default_rng(seed), replace(head, csp=None), view)
        x, off = midline_frame(head, view)
        front, away = np.abs(x - head.csp.x) < head.csp.length, np.abs(off)
        ratio.append(grey[front & (away < 0.5)].mean() / grey[front & (away > 2) & (away < 4)].mean())
    assert np.median(ratio) > 1.3


def test_a_record_is_the_same_bytes_again() -> None:
    first, again, other = (render("head", 1, "hospital_b", index) for index in (4, 4, 5))
    assert first.image.tobytes() == again.image.tobytes() != other.image.tobytes()
    assert first.mask.tobytes() == again.mask.tobytes()
    assert first.annotations == again.annotations
