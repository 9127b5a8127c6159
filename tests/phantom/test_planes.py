from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.feature import hog
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ushydra_lab.phantom import Record, render
from ushydra_lab.phantom.planes import PLANES, FetalPlane
from ushydra_lab.phantom.quality import CLINICS

COUNTS = {"clinic_low": 90, "clinic_medium": 70, "clinic_high": 14, "clinic_unseen": 14}


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [render("planes", 5, site, index) for site, count in COUNTS.items() for index in range(count)]


def of(records: list[Record], site: str) -> tuple[list[NDArray[np.uint8]], NDArray[np.str_]]:
    mine = [record for record in records if record.site == site]
    return [record.image for record in mine], np.array([record.annotations["plane"] for record in mine])


def repeatability(site: str, seed: int) -> float:
    """Correlation, at a resolution of 1 mm, of two acquisitions of one subject in one view."""
    rng, machine = np.random.default_rng(seed), CLINICS[site]
    subject = FetalPlane.draw(rng)
    view = machine.view(rng, subject.size_mm)
    seen = view.visible(*view.grid())
    pair = [gaussian_filter(machine.acquire(rng, subject, view), 1 / view.pixel_mm)[seen] for _ in range(2)]
    return float(np.corrcoef(*pair)[0, 1])


def test_a_record_is_the_same_whatever_was_rendered_before(records: list[Record]) -> None:
    for index in (17, 3):
        again = render("planes", 5, "clinic_low", index)
        assert np.array_equal(again.image, records[index].image)
        assert again.annotations == records[index].annotations


def test_every_record_carries_its_plane_and_the_quality_of_its_site_and_no_mask(records: list[Record]) -> None:
    quality = {(record.site, record.annotations["quality"]) for record in records}
    assert quality == {
        ("clinic_low", "low"),
        ("clinic_medium", "medium"),
        ("clinic_high", "high"),
        ("clinic_unseen", "medium"),
    }
    assert {record.annotations["plane"] for record in records} == set(PLANES)
    assert all(record.mask is None for record in records)


def test_the_four_planes_are_equally_likely() -> None:
    counts = Counter(FetalPlane.draw(np.random.default_rng([1, index])).plane for index in range(4000))
    assert set(counts) == set(PLANES)
    assert all(abs(count - 1000) < 110 for count in counts.values())  # four standard deviations


@pytest.mark.parametrize("site", sorted(CLINICS))
def test_the_section_lies_inside_the_scanned_field(site: str) -> None:
    turn = np.linspace(0, 2 * np.pi, 90)
    shares = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        subject = FetalPlane.draw(rng)
        pose, view = subject.pose, CLINICS[site].view(rng, subject.size_mm)
        points = [pose.to_image(pose.a * np.cos(t), pose.b * np.sin(t)) for t in turn]
        x, y = np.array(points).T
        shares.append(view.visible(x, y).mean())
    assert np.mean(shares) > 0.95
    assert min(shares) > 0.6


def test_body_and_image_coordinates_are_inverse() -> None:
    for seed in range(20):
        pose = FetalPlane.draw(np.random.default_rng(seed)).pose
        back = pose.to_body(*(np.array([value]) for value in pose.to_image(7.0, -3.0)))
        assert np.concatenate(back) == pytest.approx([7, -3])


def test_sites_are_told_apart_by_their_grey_levels(records: list[Record]) -> None:
    histograms = np.array([np.histogram(record.image, 32, (0, 256))[0] / record.image.size for record in records])
    site = np.array([list(CLINICS).index(record.site) for record in records])
    train = np.arange(len(records)) % 2 == 0
    centroids = np.stack([np.sqrt(histograms[train & (site == k)]).mean(axis=0) for k in range(4)])
    distance = ((np.sqrt(histograms[~train])[:, None] - centroids) ** 2).sum(axis=2)
    assert np.mean(distance.argmin(axis=1) == site[~train]) > 0.9


@pytest.mark.parametrize("site", ["clinic_low", "clinic_medium"])
def test_planes_are_not_given_away_by_mean_and_deviation_of_grey(records: list[Record], site: str) -> None:
    images, plane = of(records, site)
    style = np.array([(image.mean(), image.std()) for image in images])
    for classifier in (LinearDiscriminantAnalysis(), KNeighborsClassifier(9)):
        assert cross_val_score(make_pipeline(StandardScaler(), classifier), style, plane, cv=5).mean() < 0.6


@pytest.mark.parametrize("site", ["clinic_low", "clinic_medium"])
def test_planes_are_learnt_from_the_orientations_of_edges(records: list[Record], site: str) -> None:
    images, plane = of(records, site)
    small = [np.asarray(Image.fromarray(image).resize((96, 96), Image.Resampling.BOX)) for image in images]
    features = np.array([hog(image, 8, (12, 12), (1, 1)) for image in small])
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    assert cross_val_score(classifier, features, plane, cv=5).mean() > 0.6


def test_better_sites_show_more_of_the_subject_and_less_of_chance() -> None:
    chance = {site: 1 - np.mean([repeatability(site, seed) for seed in range(8)]) for site in CLINICS}
    assert chance["clinic_high"] < 0.5 * chance["clinic_medium"]
    assert chance["clinic_medium"] < 0.6 * chance["clinic_low"]
    assert 1.5 * chance["clinic_high"] < chance["clinic_unseen"] < 0.67 * chance["clinic_low"]
