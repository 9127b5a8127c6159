"""DICOM files with a table of annotations: joined by name or SOP Instance UID, coordinates moved into the region."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread

from ushydra_lab.data.io import dicom_pixels
from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import dicom
from ushydra_lab.data.source import Source
from ushydra_lab.errors import UserError

from .layouts import BOX, read_dicom, region, scene, study, write

NT = "nt_x1,nt_y1,nt_x2,nt_y2"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three patients' files; the last is a video of five frames."""
    folder = tmp_path / "export"
    for number, name in enumerate(("a.dcm", "b/c.dcm")):
        write(folder / name, study(scene(number), PatientID=str(number)))
    write(folder / "d.dcm", study(np.stack([scene(20 + n) for n in range(5)]), PatientID="d"))
    return folder


def annotated(root: Path, *lines: str, **changes: Any) -> Source:
    (table := root.parent / "annotations.csv").write_text("\n".join(lines))
    return read_dicom(root, annotations=table, **changes)


def uid(path: Path) -> str:
    return str(dcmread(path).SOPInstanceUID)


def test_words_and_numbers_of_the_table_go_before_those_of_files_and_settings(root: Path) -> None:
    source = annotated(
        root,
        "image,site,subject,quality,plane,pixel_mm,hc_mm",
        "d.dcm,east,7,high,brain,0.3,211",
        "b/c.dcm,west,8,low,femur,,",
    )
    table = check_manifest(source).table
    assert table["site"].tolist() == ["west", "east"]
    assert table["subject"].tolist() == ["8", "7"]
    assert table["quality"].tolist() == ["low", "high"]
    assert table["plane"].tolist() == ["femur", "brain"]
    assert table["pixel_mm"].tolist() == [pytest.approx(0.2), 0.3]
    assert table["hc_mm"].isna().tolist() == [True, False]
    assert source.table.index.tolist() == [3, 2]


def test_names_alone_and_uids_find_the_same_files(root: Path) -> None:
    by_path = annotated(root, "image,quality", "b/c.dcm,low", "a.dcm,high").table
    by_name = annotated(root, "image,quality", "c.dcm,low", " a.dcm ,high").table
    by_windows = annotated(root, "image,quality", r".\b\c.dcm,low", "a.dcm,high").table
    lines = [f"{uid(root / 'b/c.dcm')},low", f"{uid(root / 'a.dcm')},high"]
    by_uid = annotated(root, "sop_instance_uid,quality", *lines).table
    for other in (by_name, by_windows, by_uid):
        assert other.equals(by_path)
    assert by_path["quality"].tolist() == ["high", "low"]


def test_no_uid_is_in_what_the_reader_gives(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = uid(root / "a.dcm")
    source = annotated(root, "sop_instance_uid,quality", f"{found},low", "1.2.3,high")
    assert found not in source.table.to_csv() + capsys.readouterr().out + str(source.remarks)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([(0.2, 0.2), (0.2, 0.4), (0.5, 0.2)]), st.integers(12, 30), st.integers(10, 22))
def test_a_box_on_a_bright_spot_is_on_it_in_the_cut_and_resampled_region(
    tmp_path_factory: pytest.TempPathFactory, mm: tuple[float, float], x: int, y: int
) -> None:
    """The reference is the picture itself: the spot is found where the box says."""
    root = tmp_path_factory.mktemp("spot") / "export"
    pixels = np.zeros((48, 64), np.uint8)
    pixels[y : y + 10, x : x + 10] = 255
    write(root / "a.dcm", study(pixels, SequenceOfUltrasoundRegions=[region(mm=mm)]))
    corners = {"ofd_1": (x, y), "ofd_2": (x + 10, y + 10), "bpd_1": (x + 9, y), "bpd_2": (x, y + 9)}
    header = ",".join(f"{name}_x,{name}_y" for name in corners)
    cells = ",".join(f"{px},{py}" for px, py in corners.values())
    row = annotated(root, f"image,{NT},{header}", f"a.dcm,{x},{y},{x + 10},{y + 10},{cells}").table.iloc[0]
    shown = np.asarray(Image.open(row["image"])) > 127
    columns, rows = np.flatnonzero(shown.any(0)), np.flatnonzero(shown.any(1))
    edges = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert row[NT.split(",")].astype(float).tolist() == pytest.approx(edges, abs=1)
    assert [row["ofd_1_x"], row["ofd_1_y"]] == pytest.approx(edges[:2], abs=1)


def test_frames_are_those_of_the_table(root: Path) -> None:
    source = annotated(
        root, f"image,frame,quality,{NT}", "d.dcm,3,low,12,10,20,20", "d.dcm,1,high,,,,", "a.dcm,,high,,,,"
    )
    table = check_manifest(source).table
    assert [text.rpartition(" ")[2] for text in table["source"]] == ["0", "1", "3"]
    np.testing.assert_array_equal(np.asarray(Image.open(source.table["image"].iloc[2])), scene(23)[8:40, 10:50])
    assert table["nt_x1"].iloc[2] == 12 - BOX[0]
    assert table["subject"].nunique() == 2


def test_without_a_column_of_frames_a_row_is_about_all_that_are_read(root: Path) -> None:
    source = annotated(root, "image,quality", "d.dcm,high", frame="all")
    assert source.table["quality"].tolist() == ["high"] * 5
    assert check_manifest(source).table["subject"].nunique() == 1


def test_of_two_panels_the_one_that_holds_the_coordinates_is_annotated(root: Path) -> None:
    panels = [region((0, 4, 29, 35)), region((32, 4, 63, 35))]
    write(root / "a.dcm", study(SequenceOfUltrasoundRegions=panels))
    table = annotated(root, f"image,quality,{NT}", "a.dcm,low,40,10,50,20").table
    assert table["nt_x1"].tolist() == [8]
    assert len(annotated(root, "image,quality", "a.dcm,low").table) == 2
    with pytest.raises(UserError, match="line 2: none of the 2 scanned regions"):
        annotated(root, f"image,{NT}", "a.dcm,20,10,50,20")


def test_what_has_no_counterpart_is_left_out_and_listed_or_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ("image,quality", "a.dcm,low", "gone.dcm,low")
    source = annotated(root, *lines)
    out = capsys.readouterr().out
    assert len(source.table) == 1
    for text in (out, "\n".join(source.remarks)):
        assert "1 of 2 rows name no file that is there: lines 3" in text
        assert "2 of 3 files have no row and are left out: DICOM file 2 of 3 by path, DICOM file 3 of 3" in text
        assert "c.dcm" not in text, "names of files may be names of patients"
    with pytest.raises(UserError, match=r"(?s)lines 3.*2 of 3 files"):
        annotated(root, *lines, strict=True)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["image,quality", "x.dcm,low"], "no row names one of the 3 files, by column 'image'"),
        (["file,quality", "a.dcm,low"], "'image' or 'sop_instance_uid'; it has neither"),
        (["image,sop_instance_uid,quality", "a.dcm,1,low"], "it has both"),
        (["image,mask", "a.dcm,m.png"], "mask: of image files alone"),
        (["image,frame", "d.dcm,5", "a.dcm,x"], r"(?s)line 2: frame = 5.*has 5.*line 3: frame = x"),
        (["image,frame", "d.dcm,"], "line 2: DICOM file 3 of 3 by path has 5 frames"),
        (["image,quality", "a.dcm,low", "a.dcm,high"], "line 3: is about the same frame as line 2"),
        (["image,quality", "same.dcm,low"], "line 2: 2 files have this image; write its path"),
    ],
    ids=range(8),
)
def test_rows_that_fit_no_image_are_listed(root: Path, lines: list[str], message: str) -> None:
    if "same" in message or "2 files" in message:
        for folder in "xy":
            write(root / folder / "same.dcm", study(scene(ord(folder))))
    with pytest.raises(UserError, match=message):
        annotated(root, *lines)


def test_points_of_a_whole_video_need_a_frame(root: Path) -> None:
    with pytest.raises(UserError, match="line 2: DICOM file 3 of 3 by path has 5 frames; say in column 'frame'"):
        annotated(root, f"image,{NT}", "d.dcm,12,10,20,20", frame="all")


def test_a_subject_that_a_row_lacks_is_told_by_its_line(root: Path) -> None:
    with pytest.raises(UserError, match=r"line 3 .DICOM file 2 of 3 by path, frame 0.: subject"):
        check_manifest(annotated(root, "image,subject", "a.dcm,1", "c.dcm,"))


def test_a_damaged_file_is_left_out_with_its_reason(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.truncate(root / "a.dcm", (root / "a.dcm").stat().st_size - 500)
    assert len(annotated(root, "image,quality", "a.dcm,low", "c.dcm,high").table) == 1
    assert "a.dcm: ends before its pixels do" in capsys.readouterr().out


@pytest.mark.real
def test_a_table_by_uid_annotates_a_real_file(real_data: Path, tmp_path: Path) -> None:
    """The box is of the whole frame; what it holds is the same before and after a region is cut out."""
    (path,) = (real_data / "dicom" / "cornerstone").glob("*.dcm")
    (table := tmp_path / "a.csv").write_text(f"sop_instance_uid,subject,{NT}\n{uid(path)},7,260,150,330,200\n")
    source = dicom.read(real_data / "dicom", tmp_path / "cache", "x", tmp_path / "key", annotations=table)
    (row,) = check_manifest(source).table.itertuples()
    assert row.subject == "7"
    x1, y1, x2, y2 = (round(value) for value in (row.nt_x1, row.nt_y1, row.nt_x2, row.nt_y2))
    assert x1 < 260
    frame = dict(dicom_pixels.frames(path, [0]))[0]
    np.testing.assert_array_equal(np.asarray(Image.open(str(row.image)))[y1:y2, x1:x2], frame[150:200, 260:330])
