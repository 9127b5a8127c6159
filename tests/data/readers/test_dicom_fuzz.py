"""Five hundred DICOM files of one folder: what changes nothing is read as before, a planted fault is left out by name,
and random damage never stops the others.
"""

import random
import re
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

from .layouts import CUT, read_dicom, region, scene, study, write

Change = Callable[[Dataset, random.Random], object]
COLOURED = np.stack([scene(), scene(20), scene(40) // 2], axis=-1)
DEEP = scene().astype(np.uint16) * 257


def put(**values: Any) -> Change:
    """The tags with these values; None removes a tag, "" empties it."""

    def change(made: Dataset, _: random.Random) -> None:
        for keyword, value in values.items():
            if value is None:
                made.pop(keyword, None)
            else:
                setattr(made, keyword, value)

    return change


def one_of(*changes: Change) -> Change:
    return lambda made, rng: rng.choice(changes)(made, rng)


def cut_region(made: Dataset, rng: random.Random) -> None:
    made.SequenceOfUltrasoundRegions = [region((10, 8, rng.randint(70, 400), rng.randint(50, 400)))]


def fewer_pixels(made: Dataset, rng: random.Random) -> None:
    made.PixelData = made.PixelData[: 2 * rng.randrange(len(made.PixelData) // 2)]


def more_pixels(made: Dataset, rng: random.Random) -> None:
    made.PixelData = made.PixelData + bytes(len(made.PixelData) * rng.randint(1, 3))


def other_size(made: Dataset, rng: random.Random) -> None:
    made.Rows, made.Columns = rng.choice([(24, 64), (48, 32), (96, 64), (47, 64), (49, 64), (48, 63)])
    made.SequenceOfUltrasoundRegions = []


def private_text(made: Dataset, rng: random.Random) -> None:
    block = made.private_block(0x0019, "A VENDOR", create=True)
    block.add_new(rng.randrange(1, 200), rng.choice(("LO", "UN", "DS", "OB")), rng.choice((b"12", b"")))


def no_jpeg(made: Dataset, rng: random.Random) -> None:
    made.PixelData = encapsulate([bytes(rng.randrange(256) for _ in range(rng.randint(2, 900)))])
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    made["PixelData"].is_undefined_length = True


def turned_jpeg(made: Dataset, _: random.Random) -> None:
    Image.fromarray(scene().T.copy()).save(file := BytesIO(), "JPEG")
    made.PixelData = encapsulate([file.getvalue()])
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    made["PixelData"].is_undefined_length = True


EMPTY = (
    *("HighBit", "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "PixelSpacing", "NumberOfFrames"),
    *("BurnedInAnnotation", "PixelAspectRatio", "PresentationLUTShape", "VOILUTFunction", "PixelPaddingValue"),
)
REQUIRED = ("BitsAllocated", "BitsStored", "PixelRepresentation", "PhotometricInterpretation", "SamplesPerPixel")
HARMLESS: dict[str, Change] = {
    "an empty tag": lambda made, rng: setattr(made, rng.choice(EMPTY), None),
    "all empty": lambda made, rng: [setattr(made, keyword, None) for keyword in EMPTY],
    "an empty sequence": lambda made, rng: setattr(made, rng.choice(("VOILUTSequence", "ModalityLUTSequence")), []),
    "a private tag": private_text,
    "no optional tags": put(PatientID=None, PatientBirthDate=None, Modality="", HighBit=None),
    "an odd name": lambda made, rng: setattr(made, "PatientName", rng.choice(("\x1b[31mA", "^^^", "Ü^Ö", "A=B=C"))),
    "a strange character set": put(SpecificCharacterSet="ISO_IR 999"),
    "the wrong date": put(StudyDate="19990230", PatientBirthDate="yesterday"),
    "one frame, said": put(NumberOfFrames=1),
    "another region too": lambda made, _: made.SequenceOfUltrasoundRegions.append(region(RegionDataType=3)),
    "an overlay of text": lambda made, _: made.add_new((0x6000, 0x0010), "US", 48),
    "padding of a byte pair": lambda made, _: setattr(made, "PixelData", made.PixelData + b"\0\0"),
}
FAULTS: dict[str, Change] = {
    "too few pixels": fewer_pixels,
    "too many pixels": more_pixels,
    "no pixels": one_of(put(PixelData=None), put(PixelData=b"")),
    "another size": other_size,
    "no size": one_of(put(Columns=None), put(Columns=""), put(Rows=0), put(Columns=0), put(Rows="")),
    "too many frames": lambda made, rng: setattr(made, "NumberOfFrames", rng.choice((2, 30, 10**9, -1))),
    "a required tag missing": lambda made, rng: made.pop(rng.choice(REQUIRED)),
    "odd bits": one_of(put(BitsAllocated=12), put(BitsStored=99), put(BitsStored=0), put(BitsAllocated=32)),
    "bits elsewhere": put(BitsStored=5, HighBit=7),
    "odd samples": lambda made, rng: setattr(made, "SamplesPerPixel", rng.choice((0, 2, 4, 7))),
    "odd colours": lambda made, rng: setattr(
        made, "PhotometricInterpretation", rng.choice(("HSV", "CMYK", "ARGB", "MONOCHROME", "RGBA", "GREY", "\x1b[2J"))
    ),
    "colours that it has not": lambda made, rng: setattr(
        made,
        "PhotometricInterpretation",
        "MONOCHROME2" if made.SamplesPerPixel == 3 else rng.choice(("RGB", "YBR_FULL")),
    ),
    "a palette that is not there": put(PhotometricInterpretation="PALETTE COLOR", SamplesPerPixel=1),
    "a region beyond": cut_region,
    "a region turned": put(SequenceOfUltrasoundRegions=[region((40, 8, 12, 39))]),
    "no corner": put(SequenceOfUltrasoundRegions=[region(RegionLocationMaxY1=None)]),
    "damaged calibration": put(SequenceOfUltrasoundRegions=[region(mm=(0.1, 9.0))]),
    "no patient and no study": put(PatientID="", StudyInstanceUID=""),
    "no JPEG": no_jpeg,
    "a turned JPEG": turned_jpeg,
}
FAULTS_GREY: dict[str, Change] = {
    "an empty window": put(WindowCenter=5, WindowWidth=0),
    "black and white": put(PresentationLUTShape="INVERSE"),
    "all one value": put(RescaleSlope=0, RescaleIntercept=1),
    "a table of grey values": put(VOILUTSequence=[Dataset()]),
}


def base(rng: random.Random) -> tuple[Dataset, NDArray[np.uint8]]:
    """A good file, and the region that it shows."""
    syntax = rng.choice((ExplicitVRLittleEndian, ImplicitVRLittleEndian))
    luma = np.asarray(Image.fromarray(COLOURED).convert("L"))
    pixels, shown = rng.choice(((scene(), scene()), (DEEP, scene()), (COLOURED, luma)))
    return study(pixels, syntax), shown[CUT]


def written(path: Path, made: Dataset, rng: random.Random) -> None:
    """As a DICOM file, even where pydicom would refuse to write it."""
    made.SOPInstanceUID = f"1.2.{rng.randrange(10**9)}"
    if "PixelData" in made and not made["PixelData"].is_undefined_length:
        made["PixelData"].VR = "OW"
    made.preamble = bytes(128)
    made.save_as(path, enforce_file_format=False)


def planted(path: Path, rng: random.Random) -> tuple[str, str, NDArray[np.uint8]]:
    """Write a file; 'read' or 'left out', what was done to it, and what it shows."""
    made, shown = base(rng)
    harmless = rng.random() < 0.4
    grey = made.SamplesPerPixel == 1
    kinds = HARMLESS if harmless else FAULTS | (FAULTS_GREY if grey else {})
    kind = rng.choice(sorted(kinds))
    kinds[kind](made, rng)
    written(path, made, rng)
    if not harmless and rng.random() < 0.05:
        kind = "truncated"
        path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size - 200)])
    return ("read" if harmless else "left out"), kind, shown


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_what_is_planted_is_left_out_and_the_rest_is_read(
    tmp_path: Path, fuzz_seeds: Callable[[int], range], capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "export"
    root.mkdir()
    expected = {}
    for seed in fuzz_seeds(500):
        path = root / f"{seed:03d}.dcm"
        expected[path.name] = planted(path, random.Random(seed))
    table = read_dicom(root).table
    printed = capsys.readouterr().out
    names = sorted(expected)
    numbers = table["source"].str.extract(r"file (\d+) of")[0].astype(int)
    read = {names[n - 1]: image for n, image in zip(numbers, table["image"], strict=True)}
    counts: Counter[str] = Counter()
    for name, (outcome, kind, shown) in expected.items():
        if outcome == "read":
            assert name in read, f"{name}: {kind}: {re.findall(rf'{name}.*', printed)}"
            got = np.asarray(Image.open(read[name]), int)
            assert np.abs(got - shown).max() <= 1, f"{name}: {kind}"
            counts["read"] += 1
        else:
            counts["caught" if name not in read else f"missed {name}: {kind}"] += 1
    with capsys.disabled():
        print(dict(counts))
    assert {*counts} == {"read", "caught"}, counts
    assert "Meier" not in printed
    assert "\x1b" not in printed


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_random_damage_stops_no_folder(tmp_path: Path, fuzz_seeds: Callable[[int], range]) -> None:
    (root := tmp_path / "export").mkdir()
    content = write(root / "good.dcm", study()).read_bytes()
    for seed in fuzz_seeds(500):
        rng = random.Random(seed)
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 12)):
            damaged[rng.randrange(128, len(damaged))] = rng.randrange(256)
        if rng.random() < 0.3:
            del damaged[rng.randrange(200, len(damaged)) :]
        (root / f"{seed:03d}.dcm").write_bytes(damaged)
    assert len(read_dicom(root).table) > 1
