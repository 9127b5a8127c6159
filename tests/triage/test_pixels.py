"""Raw-pixel rules refuse what shows no scan, and nothing that does: on real samples and on the phantom."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ushydra_lab.data.io import volumes
from ushydra_lab.data.io.image import decode, read_bytes
from ushydra_lab.data.readers import phantom
from ushydra_lab.triage.damage import DAMAGES
from ushydra_lab.triage.pixels import SMALLEST, Grey, pixel_reasons

REAL = {
    "hc18": "hc18/training_set/*HC.png",
    "fp": "multicentre_landmarks/FP/images/*.png",
    "nt": "nt_fetus_framework/**/*.png",
    "planes": "fetal_planes/**/*.png",
    "camus": "camus/**/*_ED.nii.gz",
    "lung": "lung_pocus/**/*.*",
}
REFUSED = [kind for kind in DAMAGES if kind != "upside_down"]


def sample(folder: Path, pattern: str, most: int = 8) -> list[Grey]:
    files = sorted(file for file in folder.glob(pattern) if file.suffix in (".png", ".jpg", ".jpeg", ".gz"))
    chosen = files[:: -(-len(files) // most)]
    assert chosen
    return [
        volumes.grey(volumes.read(file)[0]) if file.suffix == ".gz" else decode(read_bytes(file)).grey
        for file in chosen
    ]


def refused(images: list[Grey], kind: str) -> int:
    return sum(bool(pixel_reasons(DAMAGES[kind](image))) for image in images)


@pytest.mark.real
@pytest.mark.parametrize("site", REAL)
def test_real_images_are_not_refused_and_their_damaged_copies_are(real_data: Path, site: str) -> None:
    images = sample(real_data, REAL[site])
    assert [pixel_reasons(image) for image in images] == [()] * len(images)
    assert {kind: refused(images, kind) for kind in REFUSED} == dict.fromkeys(REFUSED, len(images))
    assert refused(images, "upside_down") == 0, "pixels do not tell which way up a scan is"


@pytest.mark.parametrize("scene", ["head", "nt", "heart"])
def test_phantom_images_are_not_refused_and_their_damaged_copies_are(tmp_path: Path, scene: str) -> None:
    source = phantom.read(root=tmp_path, scene=scene, seed=0, images_per_site=2, difficulty="real", sites=6)
    images = [decode(read_bytes(source.root / path)).grey for path in source.table["image"]]
    assert [pixel_reasons(image) for image in images] == [()] * len(images)
    assert {kind: refused(images, kind) for kind in REFUSED} == dict.fromkeys(REFUSED, len(images))


def test_a_damaged_copy_is_of_the_image_s_size_and_damaged_as_it_is_called() -> None:
    image = np.random.default_rng(0).integers(0, 256, (70, 90), dtype=np.uint8)
    copies = {kind: damage(image) for kind, damage in DAMAGES.items()}
    assert {(copy.shape, copy.dtype) for copy in copies.values()} == {(image.shape, image.dtype)}
    assert not copies["black"].any()
    assert np.array_equal(copies["inverted"] ^ image, np.full_like(image, 255))
    assert np.array_equal(copies["upside_down"], np.flipud(image))
    np.testing.assert_allclose(copies["dark"], 0.15 * image, atol=1)
    assert (np.diff(copies["gradient"].astype(int), axis=1) >= 0).all()
    assert (copies["gradient"][:, 0].max(), copies["gradient"][:, -1].min()) == (0, 255)


@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 255))
def test_a_flat_image_of_any_size_and_grey_is_refused(rows: int, columns: int, grey: int) -> None:
    reasons = pixel_reasons(np.full((rows, columns), grey, np.uint8))
    assert reasons == ("too_small",) if min(rows, columns) < SMALLEST else "no_region" in reasons


def test_an_image_is_too_small_below_64_px_a_side() -> None:
    speckle = np.random.default_rng(0).normal(90, 8, (64, 90)).clip(0, 255).astype(np.uint8)
    assert "too_small" not in pixel_reasons(speckle)
    assert pixel_reasons(speckle[1:]) == pixel_reasons(speckle[:, :63]) == ("too_small",)
