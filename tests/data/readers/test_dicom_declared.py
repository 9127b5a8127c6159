"""What DICOM files say about themselves, at every depth; SimpleITK (GDCM) and Pillow are the references."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLosslessSV1, RLELossless

from ushydra_lab.data.io import dicom_pixels
from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.errors import UserError

from .layouts import COLUMNS, CUT, ROWS, one_dicom, read_dicom, region, scene, study, write

EMPTY = (
    *("HighBit", "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "VOILUTFunction", "PixelSpacing"),
    *("NumberOfFrames", "BurnedInAnnotation", "PixelAspectRatio", "PixelPaddingValue", "PresentationLUTShape"),
    *("VOILUTSequence", "ModalityLUTSequence", "PlanarConfiguration", "PatientID", "Modality", "IssuerOfPatientID"),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    folder.mkdir()
    return folder


def empty(made: Dataset, keyword: str) -> Dataset:
    setattr(made, keyword, [] if keyword.endswith("Sequence") else None)
    return made


def by_simpleitk(path: Path) -> NDArray[Any]:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]


@pytest.mark.parametrize("keyword", EMPTY)
def test_an_optional_tag_that_is_empty_counts_as_absent(root: Path, keyword: str) -> None:
    np.testing.assert_array_equal(one_dicom(root, empty(study(), keyword)), scene()[CUT])
    assert keyword in dcmread(root / "a.dcm")


def test_all_of_them_at_once_and_the_regions_too(root: Path) -> None:
    made = study(BurnedInAnnotation="NO")
    for keyword in (*EMPTY, "SequenceOfUltrasoundRegions"):
        empty(made, keyword)
    np.testing.assert_array_equal(one_dicom(root, made), scene())


@pytest.mark.parametrize("keyword", ["PhysicalDeltaX", "PhysicalDeltaY", "PhysicalUnitsXDirection"])
def test_an_empty_calibration_is_none(root: Path, keyword: str) -> None:
    made = study(SequenceOfUltrasoundRegions=[empty(region(), keyword)])
    np.testing.assert_array_equal(one_dicom(root, made), scene()[CUT])
    assert np.isnan(read_dicom(root).table["pixel_mm"].iloc[0])


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_black_is_black_at_every_depth(root: Path, bits: int, kind: str) -> None:
    seen = scene().astype(np.uint32) * ((1 << bits) - 1) // 255
    stored = (1 << bits) - 1 - seen if kind == "MONOCHROME1" else seen
    pixels = stored.astype(np.uint8 if bits == 8 else np.uint16)
    made = study(pixels, PhotometricInterpretation=kind, BitsStored=bits, HighBit=bits - 1)
    assert np.abs(one_dicom(root, made).astype(int) - scene()[CUT]).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_big_endian_pixels_are_those_that_gdcm_reads(root: Path, dtype: type[np.generic]) -> None:
    values = scene().astype(dtype) * (1 if dtype == np.uint8 else 100)
    made = study(values, ExplicitVRBigEndian)
    swapped = values.astype(values.dtype.newbyteorder(">")).tobytes()
    made.PixelData = np.frombuffer(swapped, "u2").byteswap().tobytes() if dtype == np.uint8 else swapped
    made["PixelData"].VR = "OW"
    path = root / "a.dcm"
    made.save_as(path, implicit_vr=False, little_endian=False, enforce_file_format=True)
    reference = by_simpleitk(path).astype(np.int64)
    np.testing.assert_array_equal(reference, values)
    low, high = (0, 255) if dtype == np.uint8 else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    expected = (reference - low) / (high - low) * 255
    assert np.abs(dict(dicom_pixels.frames(path, [0]))[0] - expected).max() <= 0.5


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_jpeg_lossless_is_decoded(root: Path, dtype: type[np.generic]) -> None:
    values = scene().astype(dtype) * (1 if dtype == np.uint8 else 257)
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(root.parent / "made.dcm"))
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG")
    writer.Execute(sitk.GetImageFromArray(values))
    coded = dcmread(root.parent / "made.dcm")
    assert coded.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    made = study(values, JPEGLosslessSV1)
    made.PixelData = coded.PixelData
    made["PixelData"].is_undefined_length = True
    np.testing.assert_array_equal(one_dicom(root, made), scene()[CUT])


@pytest.mark.parametrize(("bits", "shift"), [(8, 0), (16, 8), (16, 0)])
def test_palettes_of_8_and_16_bits_and_of_16_that_use_8(root: Path, bits: int, shift: int) -> None:
    made = study(255 - scene(), PhotometricInterpretation="PALETTE COLOR")
    for name in ("Red", "Green", "Blue"):
        ramp = np.arange(255, -1, -1).astype(np.uint16) << shift
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, bits])
        entries = ramp.astype(np.uint8) if bits == 8 else ramp
        setattr(made, f"{name}PaletteColorLookupTableData", entries.tobytes())
    np.testing.assert_array_equal(one_dicom(root, made), scene()[CUT])


def test_more_than_16_bits_are_refused(root: Path) -> None:
    with pytest.raises(UserError, match="has 32-bit pixels, which have no fixed range"):
        one_dicom(root, study(scene().astype(np.uint32)))


def test_padding_is_black_also_where_it_is_stored_as_white(root: Path) -> None:
    pixels = scene().copy()
    pixels[20:30, 20:30] = 255
    made = study(pixels, PixelPaddingValue=255)
    expected = np.where(pixels == 255, 0, pixels)[CUT]
    np.testing.assert_array_equal(one_dicom(root, made), expected)


def test_pixels_whose_sides_are_declared_become_square_without_a_spacing(root: Path) -> None:
    made = one_dicom(root, study(SequenceOfUltrasoundRegions=[], PixelAspectRatio=[1, 2]))
    assert made.shape == (ROWS, 2 * COLUMNS)
    assert np.isnan(read_dicom(root).table["pixel_mm"].iloc[0])


def test_half_a_rescale_and_half_a_window_say_nothing_wrong(root: Path) -> None:
    np.testing.assert_array_equal(one_dicom(root, study(RescaleSlope=2)), scene()[CUT])
    np.testing.assert_array_equal(one_dicom(root, study(WindowCenter=9)), scene()[CUT])


def test_a_compressed_frame_of_another_size_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(scene().T.copy()).save(file := io.BytesIO(), "JPEG")
    made = study(scene(), JPEGBaseline8Bit)
    made.PixelData = encapsulate([file.getvalue()])
    made["PixelData"].is_undefined_length = True
    write(root / "turned.dcm", made)
    write(root / "good.dcm", study())
    assert len(read_dicom(root).table) == 1
    assert "turned.dcm: holds frames of 48 x 64 px, where Columns and Rows are 64 x 48" in capsys.readouterr().out


def test_what_is_not_said_about_burnt_in_text_is_told_apart(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n, said in enumerate(("YES", "NO", None, "")):
        write(root / str(n), study(scene(n)) if said is None else study(scene(n), BurnedInAnnotation=said))
    read_dicom(root)
    printed = capsys.readouterr().out
    assert "  1 say that texts are burnt into the image" in printed
    assert "  2 do not say whether text is burnt in" in printed
    write(root / "2", study(BurnedInAnnotation="NO"))
    (root / "0").unlink()
    (root / "3").unlink()
    read_dicom(root)
    assert "burnt" not in capsys.readouterr().out


@pytest.mark.real
def test_real_files_are_read_as_gdcm_and_pillow_do(real_data: Path) -> None:
    for path in sorted((real_data / "dicom").rglob("*.dcm")):
        made = dict(dicom_pixels.frames(path, [0]))[0]
        colours = by_simpleitk(path) if "pocus" not in path.parts else first_jpeg(path)
        colours = colours[0] if colours.ndim == 4 else colours
        expected = np.asarray(Image.fromarray(colours.astype(np.uint8)).convert("L"), int)
        assert np.abs(made - expected).max() <= 2, path.name


def first_jpeg(path: Path) -> NDArray[Any]:
    """By Pillow: these files call JFIF's YCbCr "RGB", which GDCM believes and shows grey as green."""
    stream = dcmread(path).PixelData
    return np.asarray(Image.open(io.BytesIO(stream[stream.index(b"\xff\xd8\xff") :])))


@pytest.mark.real
def test_real_files_with_stale_calibrations_are_left_out(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ushydra_lab.data.readers import dicom

    table = check_manifest(dicom.read(real_data / "dicom" / "pydicom", tmp_path / "cache", "x", tmp_path / "key")).table
    assert len(table) > 0
    printed = capsys.readouterr().out
    for name in ("examples_palette.dcm", "examples_ybr_color.dcm"):
        assert f"{name}: has a region that ends at" in printed


@pytest.mark.parametrize(("claimed", "held"), [(3, 2), (1, 2), (2, 1)])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_another_number_of_frames_than_is_said_is_refused(
    root: Path, claimed: int, held: int, syntax: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = study(np.stack([scene(n) for n in range(held)]) if held > 1 else scene())
    if syntax == RLELossless:
        made.compress(RLELossless)
    made.NumberOfFrames = claimed
    write(root / "good.dcm", study())
    write(root / "other.dcm", made)
    assert len(read_dicom(root).table) == 1
    assert "other.dcm: " in capsys.readouterr().out


def test_a_video_cut_off_behind_its_first_frame_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(root / "cut.dcm", study(np.stack([scene(n) for n in range(5)])))
    path.write_bytes(path.read_bytes()[:-3000])
    write(root / "good.dcm", study())
    assert len(read_dicom(root, frame="first").table) == 1
    assert "cut.dcm: ends before its pixels do" in capsys.readouterr().out
