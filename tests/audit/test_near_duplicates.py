import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from ushydra_lab.audit import near_duplicates
from ushydra_lab.audit.descriptor import LENGTH, describe
from ushydra_lab.audit.neighbours import similar_pairs

Grey = NDArray[np.uint8]


def jpeg(image: Grey) -> Grey:
    stored = io.BytesIO()
    Image.fromarray(image).save(stored, "JPEG", quality=50)
    return np.array(Image.open(stored))


COPIES: dict[str, Callable[[Grey], Grey]] = {
    "jpeg": jpeg,
    "rescaled": lambda i: np.array(Image.fromarray(i).resize((int(0.9 * i.shape[1]), int(0.9 * i.shape[0])))),
    "brighter": lambda i: np.clip(1.1 * i, 0, 255).astype(np.uint8),
    "darker": lambda i: (0.9 * i).astype(np.uint8),
    "cropped": lambda i: i[i.shape[0] // 50 :, i.shape[1] // 50 :],
    "trimmed": lambda i: i[i.shape[0] // 100 : -(i.shape[0] // 100), i.shape[1] // 100 : -(i.shape[1] // 100)],
    "mirrored": lambda i: i[:, ::-1].copy(),
    "mirrored and cropped": lambda i: i[i.shape[0] // 50 :, ::-1][:, : -(i.shape[1] // 50)].copy(),
}


def table_of(images: int, **columns: list[str]) -> pd.DataFrame:
    names = [f"{k}.png" for k in range(images)]
    given = {"image": names, "site": "a", "subject": names, "sha256": names} | columns
    return pd.DataFrame(given, index=pd.RangeIndex(2, images + 2, name="line"))


@pytest.fixture(scope="session")
def greys(head_rows: pd.DataFrame) -> list[Grey]:
    return [np.array(Image.open(path)) for path in head_rows["image"]]


@pytest.fixture(scope="session")
def described(greys: list[Grey]) -> NDArray[np.float16]:
    return np.array([describe(grey) for grey in greys], np.float16)


def test_sixty_similar_images_of_different_subjects_are_not_near_duplicates(described: NDArray[np.float16]) -> None:
    assert near_duplicates.audit(table_of(60), described).flags == []


@pytest.mark.parametrize("change", COPIES)
def test_a_changed_copy_of_another_subject_is_found(
    change: str, greys: list[Grey], described: NDArray[np.float16]
) -> None:
    copies = np.array([describe(COPIES[change](grey)) for grey in greys[::12]], np.float16)
    finding = near_duplicates.audit(table_of(60 + len(copies)), np.concatenate([described, copies]))
    assert {flag.rows for flag in finding.flags} == {(12 * k, 60 + k) for k in range(len(copies))}
    assert all(("is mirrored in" in flag.text) == change.startswith("mirrored") for flag in finding.flags)


def test_pairs_across_sites_or_parts_come_first_and_name_both_rows(described: NDArray[np.float16]) -> None:
    twice = np.concatenate([described[:3], described[:3]])
    site, part = ["a", "a", "a", "a", "b", "a"], ["train", "train", "train", "train", "train", "test"]
    texts = [flag.text for flag in near_duplicates.audit(table_of(6, site=site, part=part), twice).flags]
    assert texts[0].startswith("line 3 (1.png) is nearly the same in line 6 (4.png): sites a and b, subjects")
    assert "parts train and test" in texts[1]
    assert len(texts) == 3
    assert "site" not in texts[2]


def test_images_of_one_subject_and_files_of_equal_bytes_are_left_to_others(described: NDArray[np.float16]) -> None:
    twice = np.concatenate([described[:2], described[:2]])
    same_subject = table_of(4, subject=["x", "y", "x", "z"], sha256=["0", "1", "2", "1"])
    assert near_duplicates.audit(same_subject, twice).flags == []


def test_images_that_show_nothing_are_no_duplicates_of_each_other() -> None:
    black = np.array([describe(np.zeros((40, 50), np.uint8))] * 3, np.float16)
    assert not black.any()
    assert near_duplicates.audit(table_of(3), black).flags == []


def test_two_images_are_enough_and_one_or_none_is_no_error(described: NDArray[np.float16]) -> None:
    assert len(near_duplicates.audit(table_of(2), described[[0, 0]]).flags) == 1
    assert near_duplicates.audit(table_of(1), described[:1]).flags == []
    assert near_duplicates.audit(table_of(0), np.zeros((0, LENGTH), np.float16)).flags == []


def test_copies_among_thousands_are_found_in_spite_of_a_huge_group_of_equal_images() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6000, LENGTH))
    rows[1000:4000] = rows[1000] + 0.01 * rng.normal(size=(3000, LENGTH))
    rows[-50:] = rows[:50] + 0.2 * rng.normal(size=(50, LENGTH))
    stored = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    subject = np.arange(6000)
    subject[1000:4000] = 1000
    found = np.concatenate([*similar_pairs(stored, subject, mirrored=False)])
    assert {tuple(pair) for pair in found} == {(k, 5950 + k) for k in range(50)}


def test_the_number_of_pairs_is_bounded_where_everything_is_equal() -> None:
    stored = np.tile(describe(np.random.default_rng(0).integers(0, 255, (60, 60), np.uint8)), (3000, 1))
    found = np.concatenate([*similar_pairs(stored.astype(np.float16), np.arange(3000), mirrored=False)])
    assert 3000 < len(found) <= 3000 * 16 * 4


@pytest.mark.real
def test_real_images_of_different_fetuses_are_not_near_duplicates(real_data: Path) -> None:
    paths = sorted((real_data / "hc18" / "training_set").glob("*_HC.png"))
    stored = np.array([describe(np.array(Image.open(path))) for path in paths], np.float16)
    assert len(paths) > 30
    assert near_duplicates.audit(table_of(len(paths)), stored).flags == []
