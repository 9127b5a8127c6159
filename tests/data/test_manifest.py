from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ushydra_lab.data import checks
from ushydra_lab.data.io.masks import MaskCode
from ushydra_lab.data.manifest import Manifest, check_manifest
from ushydra_lab.data.source import Source
from ushydra_lab.errors import UserError

Write = Callable[..., pd.DataFrame]


def problems(table: pd.DataFrame, root: Path) -> str:
    with pytest.raises(UserError) as error:
        check_manifest(Source(table, "manifest.csv", root))
    return str(error.value)


def test_a_good_table_passes_whether_its_cells_are_numbers_or_text(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"b": 2, "a": 2}, size=(30, 40))
    manifest = check_manifest(Source(table, "manifest.csv", tmp_path))
    assert manifest.sites == ["a", "b"]
    assert manifest.table.index.tolist() == [0, 1, 2, 3]
    assert manifest.table["height"].tolist() == [30] * 4
    assert manifest.table["width"].tolist() == [40] * 4
    assert all(Path(path).is_absolute() for path in manifest.table["image"])
    as_text = check_manifest(Source(table.astype(str).astype(object), "manifest.csv", tmp_path))
    pd.testing.assert_frame_equal(as_text.table, manifest.table, check_dtype=False)


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
        ({"pixel_mm": 80}, "looks like µm: 0.08 would"),
        ({"pixel_mm": 12}, "looks like px per mm: 0.08333 would"),
        ({"pixel_mm": 0.0012}, "looks like cm: 0.012 would"),  # in m 1.2, farther from the usual 0.1
        ({"pixel_mm": 0.0008}, "looks like m: 0.8 would"),  # in cm 0.008
        ({"pixel_mm": np.inf}, "not a finite number"),
        ({"nt_mm": 150}, "not within 0.05 to 20 mm"),
        ({"nt_mm": 0.015}, "looks like cm: 0.15 would be mm"),
        ({"nt_mm": 0.02}, "looks like cm: 0.2 would be mm"),  # in m 20, farther from the usual 1.5
        ({"nt_mm": 0.0018}, "looks like m: 1.8 would be mm"),
        ({"hc_mm": 17.5}, "looks like cm: 175 would be mm"),
        ({"hc_mm": 0.175}, "looks like m: 175 would be mm"),
        ({"subject": "P\x1b[31m1"}, "has control characters; rename it without"),
        ({"subject": "P\x9b1"}, "has control characters; rename it without"),
        ({"site": "a\x07"}, "it names a folder"),
        ({"site": "a/../.."}, "it names a folder"),
        ({"part": "training"}, "is not one of train, val, seen_test, test"),
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
    manifest = check_manifest(Source(table, "m", tmp_path))
    assert manifest.table.loc[1, ["nt_x1", "nt_mm", "pixel_mm"]].isna().all()


ENDS = ("ofd_1_x", "ofd_1_y", "ofd_2_x", "ofd_2_y", "bpd_1_x", "bpd_1_y", "bpd_2_x", "bpd_2_y")
HEAD = dict(zip(ENDS, (5, 15, 35, 15, 20, 5, 20, 25), strict=True))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bpd_2_y": 33}, "landmarks leave the image: bpd_2_y by 3 px (image 40 x 30); correct the points"),
        (
            {"ofd_1_x": 5, "ofd_2_x": 6, "ofd_2_y": 35, "ofd_1_y": 38},
            "by 8 px, ofd_2_y by 5 px (image 40 x 30); they fit",
        ),
        ({"bpd_1_y": ""}, "landmarks is incomplete (no bpd_1_y); give all 4 points or none"),
        ({"ofd_2_x": 5.2}, "landmarks: ofd_1 and ofd_2 are one point"),
        ({"ofd_2_x": 10}, "BPD is longer than OFD in 2 of 2 rows: the columns of OFD and BPD are swapped"),
        ({"hc_mm": 5}, "hc_mm = 5.0 is not within 20 to 500 mm"),
        ({"plane": "head"}, "plane = 'head' is not one of abdomen, brain, femur"),
        ({"it_x1": 1}, "it_box needs it_x1, it_y1, it_x2, it_y2; missing: it_y1"),
        ({"crop_x1": 1}, "crop_box needs crop_x1"),
        ({"crop_x1": 1, "crop_y1": 2, "crop_x2": 50, "crop_y2": 9}, "crop_box leaves the image: crop_x2 by 10 px"),
        ({"mask": "a/0.png"}, "column 'mask' needs the structures' colours"),
    ],
)
def test_points_categories_crops_and_further_boxes_are_checked(
    write_images: Write, tmp_path: Path, values: dict[str, object], message: str
) -> None:
    table = write_images({"a": 2}, size=(30, 40)).astype(object).assign(**HEAD)
    assert message in problems(table.assign(**values), tmp_path)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.full((30, 40), 7, np.uint8), "mask has unknown colours (7: 1200 px); known are 255 head and black"),
        (
            np.zeros((40, 30), np.uint8),
            "mask 0.png is 30 x 40, the image 40 x 30 (columns x rows); it fits when",
        ),
        (b"junk", "mask 0.png is not an image"),
        (None, "mask 0.png file not found"),
    ],
)
def test_masks_are_checked_beside_their_image(
    write_images: Write, tmp_path: Path, mask: np.ndarray | bytes | None, message: str
) -> None:
    table = write_images({"a": 1}, size=(30, 40)).assign(mask="masks/0.png")
    (tmp_path / "masks").mkdir()
    if isinstance(mask, bytes):
        (tmp_path / "masks/0.png").write_bytes(mask)
    elif mask is not None:
        Image.fromarray(mask).save(tmp_path / "masks/0.png")
    with pytest.raises(UserError) as error:
        check_manifest(Source(table, "m", tmp_path, MaskCode.of({"head": 255})))
    assert message in str(error.value)


def test_a_partial_data_set_leaves_out_what_is_not_there_with_its_problems(
    write_images: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_images({"a": 4}, size=(30, 40)).astype(object)
    (tmp_path / "a/1.png").unlink()
    table.loc[1, "nt_x2"] = -5
    manifest = check_manifest(Source(table, "m", tmp_path, partial=True))
    assert [Path(path).name for path in manifest.table["image"]] == ["0.png", "2.png", "3.png"]
    assert manifest.table.index.tolist() == [0, 1, 2]
    assert "m: 1 of 4 rows name images that are not there: left out" in capsys.readouterr().out
    for path in (tmp_path / "a").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="holds no image that its table names"):
        check_manifest(Source(table, "m", tmp_path, partial=True))


def test_two_crops_of_one_image_are_two_rows_but_the_same_crop_is_not(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"a": 1}, size=(30, 40))[["image", "site", "subject"]]
    table = pd.concat([table, table], ignore_index=True)
    table[["crop_x1", "crop_y1", "crop_x2", "crop_y2"]] = [[0, 0, 20, 30], [20, 0, 40, 30]]
    assert len(check_manifest(Source(table, "m", tmp_path)).table) == 2
    assert "is the same image as" in problems(table.assign(crop_x1=0, crop_x2=20), tmp_path)


def test_every_image_and_mask_is_shown_to_the_observer_once(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"a": 3}, size=(30, 40)).assign(mask=["m.png", "", "m.png"])
    Image.fromarray(np.full((30, 40), 255, np.uint8)).save(tmp_path / "m.png")
    seen: dict[int, tuple[float, object]] = {}
    (tmp_path / "a/2.png").unlink()
    source = Source(table, "m", tmp_path, MaskCode.of({"head": 255}), partial=True)
    checks.examine(source, lambda i, grey, labels: seen.update({i: (grey.mean(), labels)}))
    assert sorted(seen) == [0, 1]
    assert seen[0][1].all()
    assert seen[1][1] is None
    assert seen[1][0] == np.asarray(Image.open(tmp_path / "a/1.png")).mean()


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
    assert check_manifest(Source(table, "m", tmp_path)).table["operator"].tolist() == ["x"]


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
    assert len(check_manifest(Source(absolute, "m", inside)).table) == 1


def test_one_picture_under_two_subjects_is_a_leak_but_a_subject_may_repeat_it(
    write_images: Write, tmp_path: Path
) -> None:
    table = write_images({"a": 2})
    (tmp_path / "a/1.png").write_bytes((tmp_path / "a/0.png").read_bytes())
    assert "row 1 (a/1.png): has the same content as row 0 (a/0.png)" in problems(table, tmp_path)
    assert len(check_manifest(Source(table.assign(subject="same"), "m", tmp_path)).table) == 2


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
    check_manifest(Source(table, "m", tmp_path))
    assert "1 images have 16 bits per pixel" in capsys.readouterr().out


def test_sixteen_bits_that_hold_less_are_announced_with_the_remedy(
    write_images: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_images({"a": 2}, size=(30, 40))
    for name, white in (("0", 4080), ("1", 40_000)):
        Image.fromarray(np.linspace(0, white, 1200).astype(np.uint16).reshape(30, 40)).save(tmp_path / f"a/{name}.png")
    check_manifest(Source(table, "m", tmp_path))
    assert "1 of them have no value above 4080, so they are read nearly black: scale" in capsys.readouterr().out


def test_one_mistake_in_many_rows_is_listed_once_with_its_count(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"a": 12}).assign(pixel_mm=[80 + k / 10 for k in range(12)]).astype(object)
    table.loc[3, ["pixel_mm", "nt_mm"]] = ["0,08", 99]
    table.loc[:2, "part"] = ["x", "y", "z"]
    message = problems(table, tmp_path)
    assert message.startswith("manifest.csv: 16 problems\n")
    assert message.count("row 0 (a/0.png): pixel_mm = 80.0 is not within") == 1
    assert "and 10 alike: row 1 (a/1.png), row 2 (a/2.png), row 4 (a/4.png), row 5 (a/5.png), ..." in message
    assert "row 3 (a/3.png): pixel_mm = '0,08' is not a finite number" in message
    assert "row 3 (a/3.png): nt_mm = 99" in message
    assert all(f"part = {word!r}" in message for word in "xyz")


def test_the_fingerprint_is_of_images_labels_and_masks_wherever_they_lie(tmp_path: Path) -> None:
    def manifest(folder: str, **changed: object) -> str:
        place = tmp_path / folder
        place.mkdir()
        (place / "mask.png").write_bytes(changed.pop("mask_file", b"mask"))  # type: ignore[arg-type]
        row = {
            "image": str(place / "a.png"),
            "mask": str(place / "mask.png"),
            "site": "a",
            "subject": "s",
            "sha256": "1",
        }
        row |= {"nt_mm": 1.5} | changed  # type: ignore[dict-item]
        without = row | {"mask": None, "sha256": "2"}
        return Manifest(pd.DataFrame([row, without]), folder).fingerprint()

    same = manifest("here")
    assert manifest("there") == same
    others = [{"nt_mm": 1.6}, {"sha256": "3"}, {"site": "b"}, {"subject": "t"}, {"mask_file": b"other"}]
    assert len({same, *(manifest(f"other{i}", **other) for i, other in enumerate(others))}) == 6


def test_rows_without_a_mask_have_a_fingerprint_that_tells_which(write_images: Write, tmp_path: Path) -> None:
    """HC18's published test images have none."""
    table = write_images({"a": 3})[["image", "site", "subject"]]
    for row in range(3):
        mask = np.zeros((30, 40), np.uint8)
        mask[10 : 20 + row, 10:20] = 255
        Image.fromarray(mask).save(tmp_path / f"m{row}.png")
    code = MaskCode.of({"head": 255})
    found = []
    for masks in (["m0.png", "m1.png", ""], ["m0.png", "", "m2.png"], ["m0.png", "m1.png", "m2.png"]):
        found.append(check_manifest(Source(table.assign(mask=masks), "masked", tmp_path, code)).fingerprint())
    assert len(set(found)) == 3


def test_a_site_too_long_for_a_folder_of_results_is_refused(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"a": 2}).assign(site="a" * 61)
    assert "is longer than 60 characters: it names a folder" in problems(table, tmp_path)


def test_any_group_is_allowed_as_text_and_changes_no_fingerprint(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"a": 3})
    grouped = table.assign(group_machine=["GE", "", "001"], group_weeks=[12.5, np.nan, 13])
    manifest = check_manifest(Source(grouped, "manifest.csv", tmp_path))
    assert manifest.table["group_machine"].tolist() == ["GE", "", "001"]
    assert manifest.table["group_weeks"].tolist() == ["12.5", "", "13.0"]
    assert checks.ignored(grouped) == []
    assert manifest.fingerprint() == check_manifest(Source(table, "manifest.csv", tmp_path)).fingerprint()
    listed = problems(grouped.assign(group_machine=["x" * 61, "a\x1b[2J", "b"]), tmp_path)
    assert "group_machine = '" in listed
    assert listed.startswith("manifest.csv: 2 problems")
