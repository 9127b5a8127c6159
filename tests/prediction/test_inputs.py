"""INPUT is a file, a folder or a table; each file's results have a name of their own."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ushydra_lab.errors import UserError
from ushydra_lab.prediction.inputs import kind_of, read_input


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.PNG", "still"), ("a.nii.gz", "volume"), ("a.mp4", "video"), ("a.dcm", "dicom"), ("a.txt", None)],
)
def test_a_file_s_kind_is_told_by_its_ending(name: str, kind: str | None, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"anything")
    assert kind_of(tmp_path / name) == kind


@pytest.mark.parametrize("name", ["IM0001", "1.2.840.113619"])
def test_a_file_without_an_ending_is_dicom_if_it_begins_as_such(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(bytes(128) + b"DICM")
    assert kind_of(tmp_path / name) == "dicom"
    (tmp_path / name).write_bytes(bytes(200))
    assert kind_of(tmp_path / name) is None


def test_files_with_one_stem_have_results_of_other_names(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "sub/a.png", "b.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    items = read_input(tmp_path).items
    assert {item.name: item.stem for item in items} == {
        "a.jpg": "a_jpg", "a.png": "a_png", "b.nii.gz": "b", "sub/a.png": "sub/a",
    }  # fmt: skip
    table = tmp_path / "t.csv"
    table.write_text("image,nt_x1,nt_y1,nt_x2,nt_y2\na.png,1,1,5,5\na.png,,,,\na..b/a.png,,,,\n")
    stems = [item.stem for item in read_input(table).items]
    assert len(set(stems)) == 3
    assert not any(".." in stem for stem in stems), "no result is written beside the folder"


def test_all_cells_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    head = "image,pixel_mm,nt_x1,nt_y1,nt_x2,nt_y2,crop_x1"
    rows = ["a.png,wide,1,1,5,five,", "b.dcm,0.1,1,1,5,5,", "a.png,-0.1,5,1,1,5,", "a.png,inf,,,,,3", ",0.1,,,,,"]
    table.write_text("\n".join([head, *rows, "../a.png,,,,,,", f"{'x' * 400},,,,,,", "/etc/a.png,0,,,,,", ""]))
    with pytest.raises(UserError) as refused:
        read_input(table)
    for part in ("line 2: pixel_mm = 'wide'", "line 2: nt_y2 = 'five'", "line 3: b.dcm: a DICOM file has regions",
                 "line 4: pixel_mm = -0.1 is not within", "line 4: nt_box is inverted", "line 5: pixel_mm = 'inf'",
                 "line 5: crop_box is incomplete", "line 6: image is empty", "line 7: ../a.png lies outside",
                 "line 9: pixel_mm = 0 is not within", "line 9: /etc/a.png lies outside"):  # fmt: skip
        assert part in str(refused.value)


def test_columns_that_look_misspelt_and_boxes_without_an_edge_are_named(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("image,pixelmm,nt_x_1,nt_y1,nt_x2,nt_y2,subject_id,remark\na.png,0.1,1,1,5,5,7,fine\n")
    with pytest.raises(UserError) as refused:
        read_input(table)
    said = str(refused.value)
    assert "column 'pixelmm' is unknown (did you mean 'pixel_mm'?)" in said
    assert "column 'nt_x_1' is unknown (did you mean 'nt_x1'?)" in said
    assert "missing: nt_x1" in said
    assert "remark" not in said
    assert "subject_id" not in said, "nothing reads a subject"


def test_a_folder_without_images_is_refused_and_names_can_be_matched(tmp_path: Path) -> None:
    (tmp_path / "a_gt.png").write_bytes(b"x")
    (tmp_path / "a.png").write_bytes(b"x")
    assert [item.name for item in read_input(tmp_path, match="?.png").items] == ["a.png"]
    with pytest.raises(UserError, match="nothing to predict"):
        read_input(tmp_path, match="*.bmp")


@pytest.mark.parametrize("mm", [0.0, -0.1, float("nan"), float("inf")])
def test_a_spacing_that_no_scanner_has_is_refused(mm: float, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"pixel_mm: .* is not within 0\.005 to 2 mm per px"):
        read_input(tmp_path, pixel_mm=mm)


def test_an_absolute_path_below_the_table_is_named_from_there(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"image\n{tmp_path}/s/a.png\n./s/../b.png\n")
    assert [item.name for item in read_input(tmp_path / "t.csv").items] == ["s/a.png", "b.png"]


NAMES = st.sampled_from(["a", "a_2", "a_png", "a_png_2", "a_f00000", "a_f00000_png", "a_r0"])


@given(st.lists(st.tuples(NAMES, st.sampled_from([".png", ".jpg", ".mp4", ".dcm"])), unique=True, min_size=1))
def test_no_two_files_have_results_of_one_name(files: list[tuple[str, str]]) -> None:
    with TemporaryDirectory() as folder:
        for name, ending in files:
            Path(folder, name + ending).write_bytes(b"x")
        items = read_input(Path(folder)).items
    several = [f"{item.stem}{part}" for item in items if item.kind != "still" for part in ("_f00000", "_r0")]
    written = [item.stem for item in items if item.kind == "still"] + several
    assert len(set(written)) == len(written)


def test_names_that_file_systems_refuse_are_shortened_and_folders_are_no_pictures(tmp_path: Path) -> None:
    for name in ("b.png", "b.jpg/in.png", f"{'x' * 240}1.png", f"{'x' * 240}2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    stems = {item.stem for item in read_input(tmp_path).items}
    assert len(stems) == 4
    assert {"b", "b_jpg/in"} <= stems
    assert max(map(len, stems)) < 215
