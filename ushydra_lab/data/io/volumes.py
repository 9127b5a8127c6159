"""Reading NIfTI-1 and MetaImage (mhd) files of grey frames as arrays with axes (frame, row = depth, column).

Both formats store x fastest, so the axes are those of the file in reverse, as SimpleITK gives them; the orientation in
the header is not applied. The two headers are read here because SimpleITK takes a truncated NIfTI file for a whole one
whose end is black. No more is unpacked than the header announces.
"""

import gzip
import math
import struct
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.data.io.image import MAX_PIXELS, TOO_LARGE, ImageProblem

MAX_BYTES = 1_000_000_000  # of one volume, e.g. a video of 1024 x 768 x 1,200: it is read at once
MAX_RATIO = 8  # of the two spacings: more is a damaged header, and resampling would blow the image up
SUFFIXES = (".nii.gz", ".nii", ".mhd")
RAW = (".raw", ".zraw")
GZIP, NIFTI = b"\x1f\x8b", b"n+1\0"
NIFTI_HEADER, MAX_OFFSET = 348, 1_000_000
NIFTI_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
NIFTI_UNITS = {1: 1000.0, 3: 0.001}  # m, micrometres -> mm; anything else is mm
META_HEADER = 20_000
META_TYPES = {"MET_UCHAR": "u1", "MET_USHORT": "u2", "MET_SHORT": "i2", "MET_FLOAT": "f4", "MET_DOUBLE": "f8"}


@dataclass(frozen=True)
class Header:
    """shape: (frames, rows, columns); spacing: mm along (rows, columns); the rest says where and how the pixels lie."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float]
    pixels: Path
    dtype: np.dtype[np.generic]
    offset: int = 0
    scale: tuple[float, float] = (1.0, 0.0)


def files(path: Path) -> tuple[Path, ...]:
    """All files of a volume that are there: the path, and the pixels of a MetaImage header, beside it."""
    return (
        path,
        *(pixels for suffix in RAW if path.suffix == ".mhd" and (pixels := path.with_suffix(suffix)).exists()),
    )


def header(path: Path) -> Header:
    """Raises ImageProblem: damaged, no frames of one grey value per pixel, too large, pixels elsewhere."""
    try:
        return _checked(_meta(path) if path.suffix == ".mhd" else _nifti(path))
    except (OSError, EOFError, zlib.error) as error:
        raise ImageProblem("is damaged or truncated: its header cannot be read") from error
    except (ValueError, LookupError, ArithmeticError) as error:
        raise ImageProblem(f"has a header that is no NIfTI-1 or MetaImage of grey frames ({error})") from error


def read(path: Path) -> NDArray[np.generic]:
    """(frames, rows, columns). Raises ImageProblem as `header` does, and for missing pixels."""
    found = header(path)
    wanted = math.prod(found.shape) * found.dtype.itemsize
    try:
        content = _unpacked(found.pixels, found.offset, wanted)
    except (OSError, EOFError, zlib.error) as error:
        raise ImageProblem(
            f"{found.pixels.name} is missing, damaged or truncated: its pixels cannot be read"
        ) from error
    if len(content) != wanted:
        raise ImageProblem(f"{found.pixels.name} is truncated: {len(content):,} of {wanted:,} bytes of pixels")
    values = np.frombuffer(content, found.dtype).reshape(found.shape)
    return values if found.scale == (1.0, 0.0) else values * found.scale[0] + found.scale[1]


def grey(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Grey values 0 to 255, rounded. Raises ImageProblem for others: they have no fixed range."""
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 255):
        raise ImageProblem(f"has grey values from {low:g} to {high:g}; 0 to 255 are expected")
    return np.rint(values).astype(np.uint8)


def labels(path: Path, shape: tuple[int, int, int], known: Collection[int]) -> NDArray[np.uint8]:
    """(frames, rows, columns) of labels, all of them known or 0.

    Raises ImageProblem: as `read` does, not of the image's shape, other labels, with their counts.
    """
    found = header(path).shape
    if found != shape:
        sizes = [f"{frames} frames of {columns} x {rows} px" for frames, rows, columns in (found, shape)]
        raise ImageProblem(f"{path.name} holds {sizes[0]}, the image {sizes[1]}")
    values = read(path)
    present, counts = np.unique(values, return_counts=True)
    unknown = [f"{value:g}: {n} px" for value, n in zip(present, counts, strict=True) if value not in (0, *known)]
    if unknown:
        listed = ", ".join(map(str, known))
        raise ImageProblem(f"{path.name} has labels that are not 0 or {listed} ({', '.join(unknown[:6])})")
    return values.astype(np.uint8)


def _nifti(path: Path) -> Header:
    content = _unpacked(path, 0, NIFTI_HEADER)
    if len(content) < NIFTI_HEADER or content[-4:] != NIFTI:
        raise ImageProblem("is no NIfTI-1 file, or its header is truncated")
    order = "<" if struct.unpack_from("<i", content)[0] == NIFTI_HEADER else ">"
    dims = struct.unpack_from(f"{order}8h", content, 40)
    kind = struct.unpack_from(f"{order}h", content, 70)[0]
    spacing = struct.unpack_from(f"{order}8f", content, 76)
    offset, slope, intercept = struct.unpack_from(f"{order}3f", content, 108)
    if not NIFTI_HEADER <= offset <= MAX_OFFSET:
        raise ImageProblem(f"says its pixels begin at byte {offset:g}; its header is damaged")
    unit = NIFTI_UNITS.get(content[123] & 7, 1.0)
    return Header(
        _shape(dims[1 : 1 + dims[0]]),
        (abs(spacing[2]) * unit, abs(spacing[1]) * unit),
        path,
        np.dtype(order + NIFTI_TYPES[kind]),
        int(offset),
        (slope, intercept) if slope else (1.0, 0.0),
    )


def _meta(path: Path) -> Header:
    with path.open("rb") as file:
        lines = file.read(META_HEADER).decode("latin-1").splitlines()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
    own = [path.with_suffix(suffix).name for suffix in RAW]
    if (named := fields.get("ElementDataFile", "nothing")) not in own:
        raise ImageProblem(f"names {named} as its pixels (ElementDataFile), not {' or '.join(own)}")
    if int(fields.get("ElementNumberOfChannels", "1")) != 1:
        raise ImageProblem("holds several values per pixel, not grey frames")
    if int(fields.get("HeaderSize", "0")) != 0 or fields.get("BinaryData", "True").lower() != "true":
        raise ImageProblem("says that its pixels begin with a header or are text; save it as plain MetaImage")
    spacing = [float(mm) for mm in fields["ElementSpacing"].split()]
    big = fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False")).lower() == "true"
    kind = np.dtype((">" if big else "<") + META_TYPES[fields["ElementType"]])
    shape = _shape([int(size) for size in fields["DimSize"].split()])
    return Header(shape, (spacing[1], spacing[0]), path.with_name(named), kind)


def _shape(dims: Collection[int]) -> tuple[int, int, int]:
    columns, rows, *others = dims
    if sum(size != 1 for size in others) > 1 or min(dims) < 1:
        raise ImageProblem(f"holds {' x '.join(map(str, dims))} px, not frames")
    return math.prod(others), rows, columns


def _checked(found: Header) -> Header:
    frames, rows, columns = found.shape
    if rows * columns > MAX_PIXELS:
        raise ImageProblem(TOO_LARGE)
    if math.prod(found.shape) * found.dtype.itemsize > MAX_BYTES:
        raise ImageProblem(f"claims {frames} frames of {columns} x {rows} px, more than {MAX_BYTES:,} bytes")
    check_spacing(found.spacing)
    return found


def check_spacing(spacing: tuple[float, float]) -> None:
    """Raises ImageProblem for mm along (rows, columns) that no image has."""
    small, large = sorted(spacing)
    if not (small > 0 and large < math.inf and large <= MAX_RATIO * small):
        down, across = spacing
        raise ImageProblem(f"says its pixels are {across:g} x {down:g} mm; its header is damaged")


def _unpacked(path: Path, offset: int, size: int) -> bytes:
    """At most `size` bytes from `offset` on, of the content where it is compressed."""
    with path.open("rb") as file:
        start = file.read(2)
        file.seek(0)
        if path.suffix == ".zraw":
            return zlib.decompressobj().decompress(file.read(), size)
        with gzip.open(file) if start == GZIP else file as content:
            content.seek(offset)
            return content.read(size)
