import numpy as np
import pytest
from scipy.ndimage import binary_dilation, label
from skimage.measure import perimeter

from ushydra_lab.phantom import SCENES, Record, render
from ushydra_lab.phantom.heart import ANNULUS, Heart
from ushydra_lab.phantom.quality import ECHO_LABS

WALL_MM = 7.0
COUNT = 25


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [render("heart", 2, site, index) for site in ECHO_LABS for index in range(COUNT)]


def cavity_and_wall(record: Record) -> tuple[np.ndarray, np.ndarray]:
    """Grey inside the LV and in a ring of WALL_MM around it."""
    assert record.mask is not None
    inside = record.mask == 1
    ring = binary_dilation(inside, iterations=round(WALL_MM / record.pixel_mm)) & ~inside
    return record.image[inside].astype(float), record.image[ring].astype(float)


def contrast_to_noise(record: Record) -> float:
    cavity, wall = cavity_and_wall(record)
    return float((wall.mean() - cavity.mean()) / np.sqrt((cavity.var() + wall.var()) / 2))


def test_a_record_is_the_same_whatever_was_rendered_before(records: list[Record]) -> None:
    for index in (COUNT - 1, 3):
        again = render("heart", 2, "echo_low", index)
        assert np.array_equal(again.image, records[index].image)
        assert np.array_equal(again.mask, records[index].mask)


def test_every_record_has_a_mask_of_its_size_and_the_quality_of_its_site(records: list[Record]) -> None:
    assert SCENES["heart"].structures == ("lv",)
    quality = {(record.site, record.annotations["quality"]) for record in records}
    assert quality == {("echo_low", "low"), ("echo_high", "high"), ("echo_unseen", "medium")}
    for record in records:
        assert record.mask is not None
        assert record.mask.shape == record.image.shape
        assert set(np.unique(record.mask)) == {0, 1}


def test_the_ventricle_is_one_compact_piece_of_plausible_size(records: list[Record]) -> None:
    """Apical areas of adults run from about 10 cm2 at end-systole to 50 cm2; a circle's compactness is 1."""
    for record in records:
        mask = record.mask == 1
        area, outline = mask.sum() * record.pixel_mm**2, perimeter(mask) * record.pixel_mm
        assert label(mask)[1] == 1
        assert 1000 < area < 5000
        assert 0.5 < 4 * np.pi * area / outline**2 < 0.95


def test_the_mask_is_the_whole_cavity_inside_the_scanned_sector() -> None:
    clipped = []
    for site, machine in ECHO_LABS.items():
        for seed in range(60):
            rng = np.random.default_rng([seed, len(site)])
            heart = Heart.draw(rng)
            view = machine.view(rng, heart.size_mm)
            x, y = view.grid()
            cavity = heart.labels(x, y) == 1
            row = view.scan.locate(x, y)[0]
            clipped.append(1 - view.visible(x, y)[cavity].mean())
            assert row[cavity].min() > 0
            assert row[cavity].max() < view.scan.samples - 1
    assert np.mean(np.array(clipped) < 0.01) > 0.8
    assert max(clipped) < 0.25


def test_the_area_is_that_of_a_bullet_of_the_given_length_and_width() -> None:
    """Half an ellipse above the widest place, an ellipse's zone down to the annulus below it."""
    for seed in range(20):
        heart = Heart.draw(np.random.default_rng(seed))
        steps = np.arange(-120, 120, 0.25, dtype=np.float32)
        x, y = np.meshgrid(steps, steps)
        area = heart.labels(x, y).sum() * 0.25**2
        above, below = 0.55 * heart.length, 0.45 * heart.length
        zone = (np.arccos(ANNULUS) + ANNULUS * np.sqrt(1 - ANNULUS**2)) / np.sqrt(1 - ANNULUS**2) / 2
        bullet = heart.width * (above * np.pi / 4 + below * zone)
        assert area == pytest.approx(bullet, rel=0.1)


def test_the_apex_points_up(records: list[Record]) -> None:
    for record in records:
        widths = (record.mask == 1).sum(axis=1)
        rows = np.flatnonzero(widths)
        top, middle = widths[rows[: len(rows) // 8]], widths[rows[len(rows) // 2]]
        assert rows.mean() < 0.6 * record.image.shape[0]
        assert top.mean() < 0.75 * middle


def test_systole_shortens_and_narrows_the_ventricle() -> None:
    hearts = [Heart.draw(np.random.default_rng(seed)) for seed in range(300)]
    area = np.array([heart.length * heart.width for heart in hearts])
    assert np.quantile(area, 0.05) < 0.6 * np.quantile(area, 0.95)
    assert np.corrcoef(area, [heart.wall for heart in hearts])[0, 1] < -0.2


def test_blood_is_darker_than_the_wall_around_it(records: list[Record]) -> None:
    darker = [cavity.mean() < wall.mean() for cavity, wall in map(cavity_and_wall, records)]
    assert np.mean(darker) >= 0.95


def test_better_sites_show_the_wall_with_more_contrast_to_noise(records: list[Record]) -> None:
    contrast = {site: np.mean([contrast_to_noise(r) for r in records if r.site == site]) for site in ECHO_LABS}
    assert 0.5 < contrast["echo_low"] < 0.85 * contrast["echo_unseen"]
    assert contrast["echo_unseen"] < contrast["echo_high"]


def test_sites_are_told_apart_by_their_grey_levels(records: list[Record]) -> None:
    histograms = np.array([np.histogram(record.image, 32, (0, 256))[0] / record.image.size for record in records])
    site = np.array([list(ECHO_LABS).index(record.site) for record in records])
    train = np.arange(len(records)) % 2 == 0
    centroids = np.stack([np.sqrt(histograms[train & (site == k)]).mean(axis=0) for k in range(3)])
    distance = ((np.sqrt(histograms[~train])[:, None] - centroids) ** 2).sum(axis=2)
    assert np.mean(distance.argmin(axis=1) == site[~train]) > 0.9
