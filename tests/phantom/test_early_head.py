import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from scipy.special import ellipe
from skimage.measure import regionprops

from ushydra_lab.phantom import Record, render
from ushydra_lab.phantom.early_head import EARLY_SHARE, EarlyHead, draw_head_of_any_age
from ushydra_lab.phantom.head import HEAD_MACHINES, PARENCHYMA

SITES = sorted(HEAD_MACHINES)
TURN = np.linspace(0, 2 * np.pi, 100)


@pytest.fixture(scope="module")
def heads() -> list[EarlyHead]:
    return [EarlyHead.draw(np.random.default_rng(seed)) for seed in range(1000)]


@pytest.fixture(scope="module")
def early() -> list[Record]:
    drawn = [render("head_of_any_age", 0, site, index) for site in SITES for index in range(6)]
    return [record for record in drawn if float(record.annotations["hc_mm"]) < 120]


def test_early_heads_are_of_10_to_18_weeks_and_have_nothing_else_to_segment(heads: list[EarlyHead]) -> None:
    assert 8 < min(2 * head.b for head in heads) < 13
    assert 38 < max(2 * head.b for head in heads) < 48
    assert {(head.csp, head.lvs) for head in heads} == {(None, None)}


@pytest.mark.parametrize("site", SITES)
def test_early_heads_lie_anywhere_in_the_scanned_field_and_are_small_in_it(site: str, heads: list[EarlyHead]) -> None:
    seen, share, across = [], [], []
    for seed, head in enumerate(heads):
        view = HEAD_MACHINES[site].view(np.random.default_rng(seed), head.size_mm)
        seen.append(view.visible(*head.to_image(head.a * np.cos(TURN), head.b * np.sin(TURN))).mean())
        share.append(np.pi * head.a * head.b / (view.pixel_mm**2 * np.prod(view.shape)))
        across.append(head.shift[0] / head.size_mm[0])
    assert min(seen) == 1
    assert np.median(share) < 0.12
    assert np.std(across) > 0.1


def test_the_mask_is_the_whole_head_of_the_annotated_circumference(early: list[Record]) -> None:
    assert len(early) >= 4
    for record in early:
        assert set(np.unique(record.mask)) == {0, PARENCHYMA}
        (region,) = regionprops((record.mask > 0).astype(int))
        ofd, bpd = (record.pixel_mm * length for length in (region.axis_major_length, region.axis_minor_length))
        assert record.annotations["hc_mm"] == pytest.approx(2 * ofd * ellipe(1 - (bpd / ofd) ** 2), rel=0.015)


def test_an_early_skull_shows_against_its_surroundings(early: list[Record]) -> None:
    ratio = []
    for record in early:
        depth = distance_transform_edt(record.mask > 0) / np.sqrt((record.mask > 0).sum())
        ratio.append(record.image[(depth > 0.01) & (depth < 0.06)].mean() / record.image[record.mask == 0].mean())
    assert np.median(ratio) > 1.2


def test_one_head_in_three_is_early() -> None:
    drawn = [draw_head_of_any_age(np.random.default_rng(seed)) for seed in range(1000)]
    assert np.mean([isinstance(head, EarlyHead) for head in drawn]) == pytest.approx(EARLY_SHARE, abs=0.05)
