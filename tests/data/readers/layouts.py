"""Look-alikes of file formats, for the tests of their readers."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from ushydra_lab.data.readers import dicom
from ushydra_lab.data.source import Source

ROWS, COLUMNS = 48, 64
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"
BOX = (10, 8, 49, 39)  # x0, y0, x1, y1, inclusive
CUT = np.s_[8:40, 10:50]


def scene(seed: int = 0) -> NDArray[np.uint8]:
    """Bright above, dark below, brighter to the right; the frame's border holds a name, in white."""
    down, across = np.indices((ROWS, COLUMNS))
    image = (180 - 3 * down + across + seed).astype(np.uint8)
    image[:4] = 255
    return image


def region(box: tuple[int, int, int, int] = BOX, mm: tuple[float, float] = (0.2, 0.2), **changes: Any) -> Dataset:
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = 1, 1, 0
    item.RegionLocationMinX0, item.RegionLocationMinY0 = box[:2]
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = box[2:]
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaY, item.PhysicalDeltaX = mm[0] / 10, mm[1] / 10
    return changed(item, changes)


def changed(dataset: Dataset, changes: dict[str, Any]) -> Dataset:
    for name, value in changes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return dataset


def study(pixels: NDArray[Any] | None = None, syntax: str = ExplicitVRLittleEndian, **changes: Any) -> Dataset:
    """A file as a machine writes it: (rows, columns), (frames, rows, columns), or with three colours last."""
    pixels = scene() if pixels is None else pixels
    colour = pixels.ndim > 2 and pixels.shape[-1] == 3
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = ULTRASOUND
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.Modality, made.PatientID, made.PatientName = "US", "4711", "Meier^Anna"
    made.PatientBirthDate, made.InstitutionName = "19800101", "St. Elsewhere"
    made.Rows, made.Columns = (
        pixels.shape[:2] if (colour and pixels.ndim == 3) or pixels.ndim == 2 else pixels.shape[1:3]
    )
    made.SamplesPerPixel = 3 if colour else 1
    made.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        made.PlanarConfiguration = 0
    if pixels.ndim - colour == 3:
        made.NumberOfFrames = len(pixels)
    made.BitsAllocated = made.BitsStored = 8 * pixels.dtype.itemsize
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, int(pixels.dtype.kind == "i")
    made.SequenceOfUltrasoundRegions = [region()]
    made.PixelData = pixels.tobytes()
    return changed(made, changes)


def write(path: Path, made: Dataset) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    return path


def nifti(pixels: NDArray[np.generic], mm: tuple[float, ...], units: int = 2, dims: list[int] | None = None) -> bytes:
    """NIfTI-1 by its specification: dim = x, y, ..., x fastest, so pixels are (..., rows, columns) in C order."""
    codes = {"uint8": (2, 8), "int16": (4, 16), "float32": (16, 32), "float64": (64, 64)}
    code, bits = codes[pixels.dtype.name]
    shape = dims or list(pixels.shape[::-1])
    spacing = [*mm[::-1], 1.0, 1.0, 1.0, 1.0, 1.0, 1.0][:7]
    header = struct.pack("<i36x8h", 348, len(shape), *shape, *[1] * (7 - len(shape)))
    header += struct.pack("<14x2h2x8f", code, bits, 1.0, *spacing)
    header += struct.pack("<3f3xB", 352.0, 1.0, 0.0, units)
    return header.ljust(344, b"\0") + b"n+1\0" + bytes(4) + pixels.tobytes()


def read_dicom(root: Path, **settings: Any) -> Source:
    """A folder of DICOM files, as one clinic's."""
    return dicom.read(root, root.parent / "cache", "clinic", root.parent / "key", **settings)


def one_dicom(root: Path, made: Dataset, **settings: Any) -> NDArray[np.uint8]:
    """The first image that a single file becomes."""
    write(root / "a.dcm", made)
    return np.asarray(Image.open(read_dicom(root, **settings).table["image"].iloc[0]))
