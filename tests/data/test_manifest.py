from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ushydra_lab.data.manifest import Manifest
from ushydra_lab.errors import UserError

Write = Callable[..., pd.DataFrame]


def problems(table: pd.DataFrame, root: Path) -> str:
    with pytest.raises(UserError) as error:
        Manifest.checked(table, "manifest.csv", root)
    return str(error.value)


def test_a_good_table_passes_whether_its_cells_are_numbers_or_text(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"b": 2, "a": 2}, size=(30, 40))
    manifest = Manifest.checked(table, "manifest.csv", tmp_path)
    assert manifest.sites == ["a", "b"]
    assert manifest.table.index.tolist() == [0, 1, 2, 3]
    assert manifest.table["height"].tolist() == [30] * 4
    assert manifest.table["width"].tolist() == [40] * 4
    assert all(Path(path).is_absolute() for path in manifest.table["image"])
    as_text = Manifest.checked(table.astype(str).astype(object), "manifest.csv", tmp_path)
    pd.testing.assert_frame_equal(as_text.table, manifest.table, check_dtype=False)


def test_the_fingerprint_follows_content_not_place(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"a": 2})
    first = Manifest.checked(table, "one", tmp_path).fingerprint
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "a").rename(moved / "a")
    assert Manifest.checked(table, "two", moved).fingerprint == first
    assert Manifest.checked(table.assign(nt_mm=1.6), "two", moved).fingerprint != first
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(moved / "a" / "0.png")
    assert Manifest.checked(table, "two", moved).fingerprint != first


def test_all_problems_are_listed_at_once_with_their_lines(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"a": 9}, size=(30, 40)).astype(object)
    table.index = pd.RangeIndex(2, 11, name="line")
    table.loc[2, "image"] = "a/missing.png"
    table.loc[3, "nt_x2"] = 45.5
    table.loc[4, ["nt_y1", "nt_y2"]] = [20, 10]
    table.loc[5, "nt_x1"] = ""
    table.loc[6, "pixel_mm"] = 8
    table.loc[7, "nt_mm"] = "1,5"
    table.loc[8, "site"] = " a"
    table.loc[9, "subject"] = ""
    table.loc[10, "image"] = "a/7.png"
    message = problems(table, tmp_path)
    assert message.startswith("manifest.csv: 9 problems\n")
    for expected in (
        "line 2 (a/missing.png): file not found",
        "line 3 (a/1.png): nt_box leaves the image: nt_x2 by 5.5 px (image 40 x 30)",
        "line 4 (a/2.png): nt_box is inverted or empty (nt_x1=4, nt_y1=20, nt_x2=34, nt_y2=10)",
        "line 5 (a/3.png): nt_box is incomplete (nt_x1=nan,",
        "line 6 (a/4.png): pixel_mm = 8.0 is not within 0.005 to 2 mm per px; it looks like px per mm: 0.125",
        "line 7 (a/5.png): nt_mm = '1,5' is not a finite number; write the decimal comma as a point",
        "line 8 (a/6.png): site = ' a' must be letters",
        "line 9 (a/7.png): subject = '' is empty",
        "line 10 (a/7.png): is the same image as line 9 (a/7.png)",
    ):
        assert expected in message


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"nt_x1": 5, "nt_y1": 4, "nt_x2": 23, "nt_y2": 34},
            "x and y swapped: were rows and columns mixed up",
        ),
        ({"nt_y1": -3}, "nt_y1 by 3 px"),
        ({"pixel_mm": 0}, "not within 0.005 to 2 mm per px; leave it empty"),
        ({"pixel_mm": -0.1}, "not within"),
        ({"pixel_mm": 0.0001}, "looks like m: 0.1 would"),
        ({"pixel_mm": np.inf}, "not a finite number"),
        ({"nt_mm": 150}, "not within 0.05 to 20 mm"),
        ({"site": "a/../.."}, "it names a folder"),
        ({"part": "training"}, "is not one of train, val, test"),
        ({"image": "a\\0.png"}, "write the folders of a path with '/'"),
        ({"image": "a"}, "is not a file"),
    ],
)
def test_a_bad_cell_is_named_with_the_remedy(
    write_images: Write, tmp_path: Path, values: dict[str, object], message: str
) -> None:
    assert message in problems(write_images({"a": 1}).astype(object).assign(**values), tmp_path)


def test_a_box_may_stick_out_by_one_pixel_and_annotations_may_be_empty(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"a": 2}, size=(30, 40)).astype(object)
    table.loc[0, "nt_x2"] = 41.0
    table.loc[1, ["nt_x1", "nt_y1", "nt_x2", "nt_y2", "nt_mm", "pixel_mm"]] = ["", None, "NA", np.nan, "", ""]
    manifest = Manifest.checked(table, "m", tmp_path)
    assert manifest.table.loc[1, ["nt_x1", "nt_mm", "pixel_mm"]].isna().all()


@pytest.mark.parametrize(
    ("rename", "message"),
    [
        ({"site": "Site"}, "column 'site' is missing (did you mean 'Site'?)"),
        ({"nt_mm": "nt_mn"}, "column 'nt_mn' is unknown (did you mean 'nt_mm'?)"),
        ({"pixel_mm": "pixelmm"}, "column 'pixelmm' is unknown (did you mean 'pixel_mm'?)"),
        ({"nt_y1": "other"}, "nt_box needs nt_x1, nt_y1, nt_x2, nt_y2; missing: nt_y1"),
    ],
)
def test_misspelt_and_missing_columns_are_named(
    write_images: Write, tmp_path: Path, rename: dict[str, str], message: str
) -> None:
    assert message in problems(write_images({"a": 1}).rename(columns=rename), tmp_path)


def test_columns_of_ones_own_are_left_alone(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"a": 1}).assign(operator="x", gestation="12+3")
    assert Manifest.checked(table, "m", tmp_path).table["operator"].tolist() == ["x"]


def test_unreadable_files_are_told_apart(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"a": 4}, size=(200, 200))
    whole = (tmp_path / "a/0.png").read_bytes()
    (tmp_path / "a/0.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "a/1.png").write_bytes(b"")
    (tmp_path / "a/2.png").write_text("no image")
    frames = [Image.new("L", (200, 200), grey) for grey in (0, 99)]
    frames[0].save(tmp_path / "a/3.png", format="GIF", save_all=True, append_images=frames[1:])
    message = problems(table, tmp_path)
    assert message.startswith("manifest.csv: 4 problems")
    for row, expected in enumerate(("damaged or truncated", "file is empty", "is not an image", "holds 2 frames")):
        assert f"row {row} (a/{row}.png): {expected}" in message.replace("is damaged", "damaged")


def test_relative_paths_stay_inside_the_folder(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"a": 2})
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path / "a")
    for image in ("../a/0.png", "link/0.png"):
        assert "leads out of" in problems(table[:1].assign(image=image), inside)
    absolute = table[:1].assign(image=str(tmp_path / "a/0.png"))
    assert len(Manifest.checked(absolute, "m", inside).table) == 1


def test_one_picture_under_two_subjects_is_a_leak_but_a_subject_may_repeat_it(
    write_images: Write, tmp_path: Path
) -> None:
    table = write_images({"a": 2})
    (tmp_path / "a/1.png").write_bytes((tmp_path / "a/0.png").read_bytes())
    assert "row 1 (a/1.png): has the same content as row 0 (a/0.png)" in problems(table, tmp_path)
    assert len(Manifest.checked(table.assign(subject="same"), "m", tmp_path).table) == 2


def test_subjects_in_two_parts_and_sites_differing_by_case(write_images: Write, tmp_path: Path) -> None:
    parts = ["train", "test", "val", "", "train"]
    table = write_images({"a": 2, "b": 2, "c": 1}).assign(subject="s", part=parts)
    table.loc[4, "site"] = "A"
    message = problems(table, tmp_path)
    assert message.startswith("manifest.csv: 2 problems")
    assert "subject 's' of site 'a' is in test and train" in message
    assert "sites 'A', 'a' differ only by case" in message


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    assert "no rows" in problems(pd.DataFrame(columns=["image", "site", "subject"]), tmp_path)


def test_sixteen_bit_images_are_announced(
    write_images: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_images({"a": 2}, size=(30, 40))
    Image.fromarray(np.full((30, 40), 40_000, np.uint16)).save(tmp_path / "a/1.png")
    Manifest.checked(table, "m", tmp_path)
    assert "1 images have 16 bits per pixel" in capsys.readouterr().out
