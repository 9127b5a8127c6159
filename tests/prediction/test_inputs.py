"""INPUT is a file, a folder or a table; each file's results have a name of their own."""

from pathlib import Path

import pytest

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
    table.write_text("image,nt_x1,nt_y1,nt_x2,nt_y2\na.png,1,1,5,5\na.png,,,,\n../x/a.png,,,,\n")
    stems = [item.stem for item in read_input(table).items]
    assert len(set(stems)) == 3
    assert not any(".." in stem for stem in stems), "no result is written beside the folder"


def test_all_cells_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("image,pixel_mm,nt_x1,nt_y1,nt_x2,nt_y2\na.png,wide,1,1,5,five\nb.dcm,0.1,1,1,5,5\n")
    with pytest.raises(UserError) as refused:
        read_input(table)
    for part in ("line 2: pixel_mm = 'wide'", "line 2: nt_y2 = 'five'", "line 3: b.dcm: a DICOM file has regions"):
        assert part in str(refused.value)


def test_a_folder_without_images_is_refused_and_names_can_be_matched(tmp_path: Path) -> None:
    (tmp_path / "a_gt.png").write_bytes(b"x")
    (tmp_path / "a.png").write_bytes(b"x")
    assert [item.name for item in read_input(tmp_path, match="?.png").items] == ["a.png"]
    with pytest.raises(UserError, match="nothing to predict"):
        read_input(tmp_path, match="*.bmp")
