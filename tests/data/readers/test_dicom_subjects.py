"""Who counts as one person where identifiers were taken away, and which files are found."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ushydra_lab.audit import report
from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import dicom
from ushydra_lab.errors import UserError

from .layouts import CUT, read_dicom, scene, study, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (folder := tmp_path / "export").mkdir()
    return folder


def export(root: Path, *patients: str, folders: bool = False) -> None:
    """Every patient's study of two images."""
    for n, patient in enumerate(patients):
        for k in range(2):
            made = study(scene(7 * n + k), PatientID=patient, StudyInstanceUID=f"1.2.{n}")
            write(root / (f"p{n}/{k}.dcm" if folders else f"{n}_{k}.dcm"), made)


def remarks(root: Path, **settings: str) -> list[str]:
    found = report.audit(read_dicom(root, **settings)).findings
    return [flag.text for finding in found if finding.kind == "reading" for flag in finding.flags]


@pytest.mark.parametrize("word", ["ANONYMOUS", "--", "anonymized", "Unknown", "XXXX", "000000", "?", "N/A", "NONAME"])
def test_a_placeholder_is_said_with_the_remedy_and_the_study_is_one(root: Path, word: str) -> None:
    export(root, *[word] * 4)
    (text,) = remarks(root)
    assert "PatientID is a placeholder in 8 files of 4 studies, which count as one person" in text
    assert "data.subject=study or data.subject=folder" in text
    assert read_dicom(root).table["subject"].nunique() == 1
    assert read_dicom(root, subject="study").table["subject"].nunique() == 4
    assert remarks(root, subject="study") == []


def test_no_identifier_over_several_studies_is_said(root: Path) -> None:
    export(root, "", "", " ")
    (text,) = remarks(root)
    assert "PatientID is empty in 3 studies, which count as 3 people" in text


def test_one_identifier_nearly_everywhere_is_said_and_several_are_not(root: Path) -> None:
    export(root, "HOSP01", "HOSP01", "HOSP01", "4711")
    (text,) = remarks(root)
    assert "PatientID is the same in 3 of 4 studies" in text
    (other := root.parent / "other").mkdir()
    export(other, "1", "1", "2", "3")
    assert remarks(other) == []


def test_a_folder_may_be_the_person(root: Path) -> None:
    export(root / "one" / "deeper", "--", "--", "--", folders=True)
    table = read_dicom(root, subject="folder").table
    assert table.groupby("subject").size().tolist() == [2, 2, 2]
    write(root / "one" / "deeper" / "loose.dcm", study())
    with pytest.raises(UserError, match=r"loose.dcm: lies in no folder of its own"):
        read_dicom(root, subject="folder", strict=True)


def test_tables_and_masks_beside_the_images_do_not_make_all_folders_one_person(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(root / "Universitätsklinik Köln", "", "", folders=True)
    alone = read_dicom(root, subject="folder").table["subject"].tolist()
    (root / "Tabelle.csv").write_text("Pat-Nr;HC\n17;14,95\n")
    capsys.readouterr()
    assert read_dicom(root, subject="folder").table["subject"].tolist() == alone
    assert len({*alone}) == 2
    assert "4 without PatientID\n" in capsys.readouterr().out


def test_files_that_are_left_out_are_said_without_their_names(root: Path) -> None:
    export(root, "1", "2")
    write(root / "Meier.dcm", study(Rows=0))
    assert remarks(root) == ["1 of 5 files cannot be used and are left out; the check names them where it was called"]


def test_settings_that_are_no_words_are_refused(root: Path, tmp_path: Path) -> None:
    export(root, "1")
    with pytest.raises(
        UserError, match=r"data.subject = 'studies' is not one of patient, study, folder \(did you mean"
    ):
        read_dicom(root, subject="studies")
    for site in (True, None, 1e5):
        with pytest.raises(UserError, match=r"data.site = .* was not read as a name; put it in quotes twice"):
            dicom.read(root, tmp_path / "cache", site, tmp_path / "key")  # type: ignore[arg-type]


@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
def test_a_file_without_preamble_is_found_and_read(root: Path, implicit: bool, little: bool) -> None:
    made = study()
    del made.file_meta
    made.save_as(root / "IM0", implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    assert (root / "IM0").read_bytes()[128:132] != b"DICM"
    (image,) = read_dicom(root).table["image"]
    np.testing.assert_array_equal(np.asarray(Image.open(image)), scene()[CUT])


def test_a_file_without_preamble_is_held_to_what_it_declares(root: Path) -> None:
    for name, changes in (("empty", {"WindowCenter": "", "RescaleSlope": ""}), ("short", {"Rows": 40})):
        made = study(**changes)
        del made.file_meta
        made.save_as(root / name, implicit_vr=True, little_endian=True, enforce_file_format=False)
    (image,) = read_dicom(root).table["image"]
    np.testing.assert_array_equal(np.asarray(Image.open(image)), scene()[CUT])
    with pytest.raises(UserError, match="short: holds 3,072 bytes of pixels"):
        read_dicom(root, strict=True)


def test_clutter_is_no_file_and_a_link_to_nothing_is_counted(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(root, "1", "2")
    write(root / ".git/annex/objects/x", study(scene(40)))
    (root / "linked.dcm").symlink_to(".git/annex/objects/x")
    (root / "gone.dcm").symlink_to(".git/annex/objects/y")
    for name in ("._0_0.dcm", ".DS_Store", "Thumbs.db", "__MACOSX/._0_0.dcm"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes((root / "0_0.dcm").read_bytes())
    assert len(check_manifest(read_dicom(root)).table) == 5
    printed = capsys.readouterr().out
    assert "5 of 6 files are ultrasound images" in printed
    assert "1 left out: a link that leads nowhere" in printed
