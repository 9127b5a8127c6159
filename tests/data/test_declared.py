"""A table that tells the size of its images: copies of another size are refused, left out, or brought back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage.transform import resize

from ushydra_lab.data.io.resample import resampled
from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import manifest_csv, multicentre_landmarks
from ushydra_lab.data.source import Source
from ushydra_lab.errors import UserError

Write = Callable[..., pd.DataFrame]
SIZE = (60, 80)


@pytest.fixture
def source(write_images: Write, tmp_path: Path) -> Source:
    """Four images of 80 x 60 px whose table says so; the second is a copy stretched to 96 x 66."""
    table = write_images({"a": 4}, size=SIZE).assign(width="80", height="60")
    smooth = resize(np.random.default_rng(0).random((6, 8)), SIZE, order=3)
    Image.fromarray((255 * smooth).clip(0, 255).astype(np.uint8)).resize((96, 66)).save(tmp_path / "a/1.png")
    return Source(table, "m", tmp_path)


def test_a_stretched_copy_is_refused_with_both_sizes(source: Source) -> None:
    message = r"row 1 \(a/1.png\): is 96 x 66 px, but its annotations were made at 80 x 60 .* data.resample=declared"
    with pytest.raises(UserError, match=message) as raised:
        check_manifest(source)
    assert "1 problem" in str(raised.value)


def test_a_partial_data_set_goes_without_it_unless_strict(source: Source, capsys: pytest.CaptureFixture[str]) -> None:
    table = check_manifest(replace(source, partial=True)).table
    assert table["subject"].tolist() == ["0", "2", "3"]
    assert "files cannot be used and are left out (data.strict=true" in (printed := capsys.readouterr().out)
    assert "row 1 (a/1.png): is 96 x 66 px" in printed
    with pytest.raises(UserError, match="is 96 x 66 px"):
        check_manifest(replace(source, partial=True, strict=True))


def test_brought_back_it_is_the_original_again(source: Source, tmp_path: Path) -> None:
    mended = resampled(source, tmp_path / "cache", "declared")
    table = check_manifest(mended).table
    assert table[["height", "width"]].drop_duplicates().to_numpy().tolist() == [list(SIZE)]
    assert table["source"].tolist() == ["", "a/1.png", "", ""]
    original = 255 * resize(np.random.default_rng(0).random((6, 8)), SIZE, order=3)
    made = np.asarray(Image.open(table["image"].iloc[1]), float)
    assert np.abs(made - original)[3:-3, 3:-3].mean() < 2
    stretched = np.asarray(Image.open(tmp_path / "a/1.png"), float)
    reference = resize(stretched, SIZE, order=1, anti_aliasing=True, preserve_range=True)
    assert np.abs(made - reference)[3:-3, 3:-3].mean() < 2
    assert table["image"].iloc[0] == str(tmp_path / "a/0.png")


@pytest.mark.parametrize(
    ("width", "height", "problem"),
    [
        ("", "", ""),
        ("80", "", ""),
        ("80.0", "60", ""),
        ("81", "60", ""),
        ("60", "80", "it would fit when turned"),
        ("80", "6O", "height = '6O' is not a finite number"),
        ("83", "60", "made at 83 x 60"),
        ("80", "-60", "made at 80 x -60"),
    ],
)
def test_empty_cells_say_nothing_and_the_others_count(source: Source, width: str, height: str, problem: str) -> None:
    table = source.table.drop(index=1)
    table.loc[2, ["width", "height"]] = width, height
    if problem:
        with pytest.raises(UserError, match=problem):
            check_manifest(replace(source, table=table))
    else:
        assert len(check_manifest(replace(source, table=table)).table) == 3


def test_one_column_alone_is_no_size(source: Source) -> None:
    table = source.table.drop(columns="width").assign(height="165")  # say, of the patient in cm
    assert len(check_manifest(replace(source, table=table)).table) == 4


def test_the_setting_is_one_of_two_words_and_an_unreadable_copy_stays_named(source: Source, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.resample = 'yes' is neither null nor declared"):
        resampled(source, tmp_path / "cache", "yes")
    assert resampled(source, tmp_path / "cache", None) is source
    (tmp_path / "a/1.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"row 1 \(a/1.png\): is not an image"):
        check_manifest(resampled(source, tmp_path / "cache", "declared"))


def test_a_csv_file_may_tell_the_sizes(source: Source, tmp_path: Path) -> None:
    source.table.to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(UserError, match=r"line 3 \(a/1.png\): is 96 x 66 px"):
        check_manifest(manifest_csv.read(tmp_path / "m.csv"))
    read = manifest_csv.read(tmp_path / "m.csv", resample="declared", cache=tmp_path / "cache")
    assert check_manifest(read).table["width"].tolist() == [80] * 4


@pytest.mark.real
def test_the_real_stretched_copies_count_once_they_are_brought_back(real_data: Path, tmp_path: Path) -> None:
    images = {"FP": str(real_data / "multicentre_landmarks/FP/images")}
    root = real_data / "multicentre_landmarks"
    without = check_manifest(multicentre_landmarks.read(root, images=images)).table
    source = multicentre_landmarks.read(root, images=images, resample="declared", cache=tmp_path / "cache")
    table = check_manifest(source).table
    back = table[table["source"] != ""]
    assert len(table) == len(without) + len(back)
    assert len(back) > 0
    assert {(640, 392), (1137, 787)} == {*zip(back["width"], back["height"], strict=True)}
