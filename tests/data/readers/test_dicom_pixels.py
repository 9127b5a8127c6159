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
from pydicom.uid import (
    JPEG2000,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from .layouts import COLUMNS, CUT, ROWS, one_dicom, scene, study


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    folder.mkdir()
    return folder


def ybr(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(pixels).convert("YCbCr"))


def coloured() -> NDArray[np.uint8]:
    return np.stack([scene(), scene(20), scene(40) // 2], axis=-1)


LUMA = np.asarray(Image.fromarray(coloured()).convert("L"))


def palette() -> Dataset:
    made = study(PhotometricInterpretation="PALETTE COLOR")
    for n, name in enumerate(("Red", "Green", "Blue")):
        ramp = np.roll(np.arange(256), n).astype(np.uint16) << 8
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(made, f"{name}PaletteColorLookupTableData", ramp.tobytes())
    return made


def with_overlays() -> Dataset:
    """12 bits, white text in an overlay beside the pixels and in the unused bits of the pixels."""
    values = scene().astype(np.uint16) << 4
    text = np.zeros((ROWS, COLUMNS), np.uint16)
    text[20, 10:60] = 1
    made = study(values | text << 12, BitsStored=12, HighBit=11)
    for group, bit in ((0x6000, 0), (0x6002, 12)):
        made.add_new((group, 0x0010), "US", ROWS)
        made.add_new((group, 0x0011), "US", COLUMNS)
        made.add_new((group, 0x0040), "CS", "G")
        made.add_new((group, 0x0050), "SS", [1, 1])
        made.add_new((group, 0x0100), "US", 16 if bit else 1)
        made.add_new((group, 0x0102), "US", bit)
    made.add_new((0x6000, 0x3000), "OW", np.packbits(text.astype(np.uint8), bitorder="little").tobytes())
    return made


def encoded(pixels: NDArray[np.uint8], kind: str, syntax: str, photometric: str, **options: Any) -> Dataset:
    file = BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    made = study(pixels, syntax, PhotometricInterpretation=photometric)
    made.PixelData = encapsulate([file.getvalue()])
    made["PixelData"].is_undefined_length = True
    return made


SIXTEEN = (scene().astype(np.uint16) << 8) + 128
KINDS: dict[str, tuple[Callable[[], Dataset], NDArray[np.uint8], int]] = {
    "monochrome2": (study, scene(), 0),
    "implicit VR": (lambda: study(syntax=ImplicitVRLittleEndian), scene(), 0),
    "monochrome1": (lambda: study(255 - scene(), PhotometricInterpretation="MONOCHROME1"), scene(), 0),
    "16 bits": (lambda: study(SIXTEEN), scene(), 1),
    "signed": (lambda: study((SIXTEEN.astype(np.int32) - 32768).astype(np.int16)), scene(), 1),
    "window": (lambda: study(scene() // 2 + np.uint16(1000), WindowCenter=1064, WindowWidth=128), scene() // 2 * 2, 2),
    "rescale": (
        lambda: study(
            scene().astype(np.uint16), RescaleSlope=2, RescaleIntercept=-100, WindowCenter=156, WindowWidth=512
        ),
        scene(),
        1,
    ),
    "rgb": (lambda: study(coloured()), LUMA, 0),
    "planes": (
        lambda: study(coloured(), PlanarConfiguration=1, PixelData=coloured().transpose(2, 0, 1).tobytes()),
        LUMA,
        0,
    ),
    "ybr": (lambda: study(ybr(coloured()), PhotometricInterpretation="YBR_FULL"), LUMA, 2),
    "palette": (
        palette,
        np.asarray(Image.fromarray(np.stack([scene(), scene() - 1, scene() - 2], -1)).convert("L")),
        1,
    ),
    "overlays": (with_overlays, scene(), 1),
    "jpeg": (lambda: encoded(scene(), "JPEG", JPEGBaseline8Bit, "MONOCHROME2", quality=98), scene(), 6),
    "colour jpeg": (
        lambda: encoded(coloured(), "JPEG", JPEGBaseline8Bit, "YBR_FULL_422", quality=98, subsampling=1),
        LUMA,
        8,
    ),
    "jpeg 2000": (
        lambda: encoded(coloured(), "JPEG2000", JPEG2000, "YBR_RCT", irreversible=False, no_jp2=True),
        LUMA,
        2,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_pixels_becomes_the_grey_that_is_seen(root: Path, kind: str) -> None:
    make, expected, tolerance = KINDS[kind]
    made = one_dicom(root, make())
    assert np.abs(made.astype(int) - expected[CUT]).max() <= tolerance


def test_uncompressed_422_has_half_the_colour_samples(root: Path) -> None:
    full = ybr(np.repeat(coloured()[:, ::2], 2, axis=1))
    halved = np.stack([full[:, ::2, 0], full[:, 1::2, 0], full[:, ::2, 1], full[:, ::2, 2]], -1)
    made = one_dicom(root, study(full, PhotometricInterpretation="YBR_FULL_422", PixelData=halved.tobytes()))
    assert np.abs(made.astype(int) - np.repeat(LUMA[:, ::2], 2, axis=1)[CUT]).max() <= 2
