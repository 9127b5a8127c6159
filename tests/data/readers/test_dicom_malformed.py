import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG4HP41,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
)

from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.errors import UserError

from .layouts import read_dicom, region, scene, study, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PixelData": None}, "holds 0 bytes of pixels, where .* make 3,072"),
        ({"PixelData": bytes(100)}, "holds 100 bytes of pixels"),
        ({"PixelData": b""}, "holds 0 bytes of pixels"),
        ({"Rows": 0}, "holds no pixels"),
        ({"Columns": None}, "has no value in its tag Columns"),
        ({"Rows": 65535, "Columns": 65535}, "claims more than 50,000,000 px"),
        ({"NumberOfFrames": 2_000_000_000}, "claims 2,000,000,000 frames"),
        ({"NumberOfFrames": -3}, "holds no pixels"),
        ({"PixelRepresentation": None}, "has no value in its tag PixelRepresentation"),
        ({"PhotometricInterpretation": ""}, "has no value in its tag PhotometricInterpretation"),
        ({"BitsStored": None, "SamplesPerPixel": None}, "has no value in its tag SamplesPerPixel, BitsStored"),
        ({"PresentationLUTShape": "INVERSE"}, "says both MONOCHROME2 and PresentationLUTShape INVERSE"),
        ({"VOILUTSequence": [Dataset()]}, r"lookup table of grey values \(VOILUTSequence"),
        ({"BitsAllocated": 12}, "holds 3,072 bytes of pixels, where .* make 4,608"),
        ({"BitsStored": 6, "HighBit": 7}, "stores 6 bits up to bit 7"),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "holds 3,072 bytes of pixels"),
        ({"PhotometricInterpretation": "HSV"}, "HSV pixels, which are not known|missing, truncated or damaged"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "missing, truncated or damaged"),
        ({"WindowCenter": 5, "WindowWidth": 0}, "WindowWidth of 0, which shows nothing"),
        ({"RescaleSlope": 0, "RescaleIntercept": 1}, r"rescales all grey values to one \(RescaleSlope"),
        ({"PixelData": scene().tobytes() * 2}, "holds 6,144 bytes of pixels, where .* make 3,072"),
        ({"Rows": 40}, "holds 3,072 bytes of pixels"),
        (
            {"SequenceOfUltrasoundRegions": [region(), region((0, 40, 90, 47), RegionDataType=3)]},
            "ends at 90, 47, beyond",
        ),
        ({"PatientID": "", "StudyInstanceUID": ""}, "has no PatientID or StudyInstanceUID"),
        (
            {"SequenceOfUltrasoundRegions": [region((10, 8, 90, 39))]},
            "ends at 90, 39, beyond its 64 x 48 px: it was resized",
        ),
        ({"SequenceOfUltrasoundRegions": [region((30, 8, 20, 39))]}, "its region 30, 8, 20, 39 .* is none"),
        (
            {"SequenceOfUltrasoundRegions": [region(RegionLocationMinX0=None)]},
            "no value in .* RegionLocationMinX0",
        ),
        ({"SequenceOfUltrasoundRegions": [region(mm=(0.1, 9.0))]}, "9 x 0.1 mm; its header is damaged"),
        ({"syntax": JPEGLSLossless}, "missing, truncated or damaged"),
        ({"syntax": MPEG4HP41}, "compressed as MPEG-4 .*gdcmconv"),
        ({"syntax": DeflatedExplicitVRLittleEndian}, "is deflated as a whole"),
    ],
    ids=range(31),
)
def test_files_that_cannot_be_used_are_named_without_the_patient(
    root: Path, changes: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = study(**changes)
    if made.file_meta.TransferSyntaxUID in (JPEGLSLossless, MPEG4HP41):
        made.PixelData = encapsulate([scene().tobytes()])
        made["PixelData"].is_undefined_length = True
    write(root / "good.dcm", study())
    write(root / "bad.dcm", made)
    assert len(check_manifest(read_dicom(root)).table) == 1
    printed = capsys.readouterr().out
    assert "1 of 2 files cannot be used and are left out (data.strict=true" in printed
    assert re.search(f"bad.dcm: .*({message})", printed)
    with pytest.raises(UserError, match=f"bad.dcm: .*({message})") as raised:
        read_dicom(root, strict=True)
    assert "1 of 2 files cannot be used; copy the file again, or take it out" in str(raised.value)
    assert "Meier" not in printed + str(raised.value)


@pytest.mark.parametrize("made", [study(), study(syntax=ImplicitVRLittleEndian), study(NumberOfFrames=2)], ids=range(3))
def test_a_file_cut_off_in_its_pixels_is_named(root: Path, made: Dataset) -> None:
    path = write(root / "bad.dcm", made)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UserError, match=r"bad.dcm: (ends before its pixels do|holds 3,072 bytes of pixels)"):
        read_dicom(root, frame="all")


def test_any_damage_of_the_header_is_a_problem_counted_or_read(root: Path) -> None:
    content = write(root / "good", study()).read_bytes()
    rng = np.random.default_rng(0)
    for n in range(150):
        damaged = np.frombuffer(content, np.uint8).copy()
        places = rng.integers(128, len(content) - scene().size, 6)
        damaged[places] = rng.integers(0, 256, 6)
        (root / f"{n}.dcm").write_bytes(damaged.tobytes())
    assert len(read_dicom(root).table) > 1
    with pytest.raises(UserError, match="files cannot be used"):
        read_dicom(root, strict=True)


def test_without_pydicom_the_extra_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root / "a.dcm", study())
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(UserError, match=r"pip install 'ushydra_lab\[dicom\]'"):
        read_dicom(root)


def test_a_name_that_is_no_text_can_still_be_printed(root: Path) -> None:
    write(root / "a.dcm", study(Rows=0)).rename(Path(os.fsdecode(os.fsencode(root) + b"/\xff.dcm")))
    with pytest.raises(UserError, match=r"\\udcff.dcm: holds no pixels") as raised:
        read_dicom(root)
    str(raised.value).encode("utf-8")
