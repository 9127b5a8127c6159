import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import dicom
from ushydra_lab.errors import UserError

from .layouts import CUT, one_dicom, read_dicom, region, scene, study, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    folder.mkdir()
    return folder


def test_a_relative_cache_may_lie_elsewhere_than_the_data(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root / "a.dcm", study())
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    table = check_manifest(dicom.read(root, "multirun/.cache", "clinic", "multirun/key")).table
    assert len(table)
    assert all(Path(image).is_relative_to(elsewhere) for image in table["image"])


def test_the_region_alone_is_cut_out_with_its_own_spacing(root: Path) -> None:
    np.testing.assert_array_equal(one_dicom(root, study()), scene()[CUT])
    row = check_manifest(read_dicom(root)).table.iloc[0]
    assert (row["height"], row["width"]) == (32, 40)
    assert row["pixel_mm"] == pytest.approx(0.2)


def test_pixels_that_are_not_square_become_so(root: Path) -> None:
    made = one_dicom(root, study(SequenceOfUltrasoundRegions=[region(mm=(0.2, -0.4))]))
    assert made.shape == (32, 80)
    assert np.abs(made[:, ::2].astype(int) - scene()[CUT]).max() <= 1
    assert read_dicom(root).table["pixel_mm"].tolist() == [pytest.approx(0.2)]


def test_two_panels_are_two_rows_and_other_regions_none(root: Path) -> None:
    doppler = region((0, 40, 63, 47), RegionSpatialFormat=3, RegionDataType=3)
    flow = region((34, 6, 40, 12), RegionDataType=2)
    panels = [region((0, 4, 29, 35), (0.1, 0.1)), region((32, 4, 63, 35), (0.3, 0.3)), flow, doppler]
    write(root / "a.dcm", study(SequenceOfUltrasoundRegions=panels))
    table = check_manifest(read_dicom(root)).table
    assert table["pixel_mm"].tolist() == [pytest.approx(0.1), pytest.approx(0.3)]
    assert table["width"].tolist() == [30, 32]
    assert table["subject"].nunique() == 1


@pytest.mark.parametrize(
    ("changes", "mm"),
    [
        ({"SequenceOfUltrasoundRegions": [], "PixelSpacing": [0.5, 0.5]}, 0.5),
        ({"SequenceOfUltrasoundRegions": []}, None),
        ({"SequenceOfUltrasoundRegions": [region(PhysicalUnitsXDirection=0)]}, None),
        ({"SequenceOfUltrasoundRegions": [region(mm=(0.0, 0.0))]}, None),
        ({"SequenceOfUltrasoundRegions": [region(PhysicalUnitsYDirection=4)], "PixelSpacing": [0.3, 0.3]}, 0.3),
    ],
    ids=range(5),
)
def test_without_a_calibrated_region_the_spacing_is_that_of_the_image_or_none(
    root: Path, changes: dict[str, Any], mm: float | None, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root / "a.dcm", study(**changes))
    spacing = check_manifest(read_dicom(root)).table["pixel_mm"].iloc[0]
    assert spacing == pytest.approx(mm) if mm else np.isnan(spacing)
    assert ("1 without a spacing" in capsys.readouterr().out) == (mm is None)


@pytest.mark.parametrize(("frame", "expected"), [("first", [0]), ("middle", [2]), ("all", [0, 1, 2, 3, 4])])
def test_the_frames_of_a_video_are_a_setting(root: Path, frame: str, expected: list[int]) -> None:
    write(root / "a.dcm", study(np.stack([scene(n) for n in range(5)])))
    table = read_dicom(root, frame=frame).table
    for row, n in zip(table.itertuples(), expected, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(row.image)), scene(n)[CUT])
        assert row.source.endswith(f"frame {n}")


def test_a_subject_is_a_keyed_hash_that_the_key_alone_decides(root: Path) -> None:
    for name, patient in (("Meier_Anna/1", "4711"), ("Meier_Anna/2", "4711 "), ("b/1", "4712")):
        write(root / name, study(scene(len(name)), PatientID=patient))
    first = read_dicom(root).table["subject"].tolist()
    assert first[0] == first[1] != first[2]
    assert read_dicom(root).table["subject"].tolist() == first
    (root.parent / "key").write_text("another secret of its own")
    assert not {*read_dicom(root).table["subject"]} & {*first}
    assert (root.parent / "key").stat().st_size


def test_the_key_is_made_for_its_owner_alone(root: Path) -> None:
    write(root / "a.dcm", study())
    read_dicom(root)
    assert (root.parent / "key").stat().st_mode & 0o077 == 0
    assert len((root.parent / "key").read_text()) == 64


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_nothing_of_the_patient_leaves_the_reader(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(UserWarning, match="Meier"):  # pydicom quotes tags that break a rule
        made = study(BurnedInAnnotation="YES", PatientID="", StudyInstanceUID="1.2.Meier", Modality="us")
    write(root / "Meier_Anna" / "Meier.dcm", made)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = read_dicom(root)
    kept = source.table.to_csv() + capsys.readouterr().out
    kept += "".join(str(path) for path in (root.parent / "cache").rglob("*"))
    kept += "".join(
        path.read_bytes().decode("latin-1") for path in (root.parent / "cache").rglob("*") if path.is_file()
    )
    for secret in ("Meier", "Anna", "4711", "1980", "Elsewhere", "ULTRASOUND"):
        assert secret not in kept.replace(str(root.parent), "")
    assert source.table["source"].tolist() == ["DICOM file 1 of 1 by path, frame 0"]
    assert "1 say that texts are burnt into the image" in kept


def report() -> Dataset:
    made = study(Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33")
    for name in ("Rows", "Columns", "PixelData", "SequenceOfUltrasoundRegions"):
        delattr(made, name)
    return made


def test_what_is_no_ultrasound_image_is_counted_with_the_reason(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root / "good", study())
    write(root / "DICOMDIR", study())
    write(root / "sub" / "report.dcm", report())
    write(root / "ct.dcm", study(Modality="CT"))
    write(root / "doppler.dcm", study(SequenceOfUltrasoundRegions=[region(RegionSpatialFormat=3)]))
    (root / "readme.txt").write_text("not DICOM")
    (root / "empty").write_bytes(b"")
    write(root / "short.dcm", study()).write_bytes((root / "good").read_bytes()[:140])
    assert len(check_manifest(read_dicom(root)).table) == 1
    printed = capsys.readouterr().out
    for text in (
        "1 of 8 files are ultrasound images",
        "1 left out: DICOMDIR",
        "1 left out: a report",
        "1 left out: not ultrasound but CT",
        "1 left out: no 2-D tissue region",
        "left out: no DICOM file",
    ):
        assert text in printed


def test_files_without_a_patient_are_a_subject_per_study(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(2):
        write(root / str(n), study(scene(n), PatientID=""))
    assert read_dicom(root).table["subject"].nunique() == 2
    assert "2 without PatientID: one subject per study" in capsys.readouterr().out


def test_settings_and_folders_that_are_not_there_are_named(root: Path) -> None:
    with pytest.raises(UserError, match=r"data.frame = 'last' is not one of first, middle, all"):
        read_dicom(root, frame="last")
    with pytest.raises(UserError, match="no ultrasound image here"):
        read_dicom(root)
    with pytest.raises(UserError, match="no such folder"):
        read_dicom(root / "nowhere")
    (root.parent / "key").write_text("short")
    with pytest.raises(UserError, match="holds less than 16 bytes"):
        read_dicom(root)
    with pytest.raises(UserError, match=r"data.subject_key"):
        dicom.read(root, root, "clinic", root)


def test_a_link_out_of_the_folder_is_refused(root: Path) -> None:
    (root / "a.dcm").symlink_to(write(root.parent / "outside.dcm", study()))
    with pytest.raises(UserError, match="is a link that leads out"):
        read_dicom(root)
