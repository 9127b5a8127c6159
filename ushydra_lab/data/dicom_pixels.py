"""Frames of a DICOM file -> grey, by its photometric interpretation, rescale and window (PS3.3 C.7.6.3, C.11).

Overlays (groups 60xx) are never drawn; pydicom clears those kept in unused bits of the pixels. Colour becomes luma
(ITU-R BT.601), as everywhere here.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ushydra_lab.data.dicom_files import without_preamble
from ushydra_lab.data.image import ImageProblem

if TYPE_CHECKING:
    from pydicom import Dataset

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
PALETTE = "PALETTE COLOR"
LOOKUP = ("ModalityLUTSequence", "VOILUTSequence")


def frames(path: Path, indices: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(index, (rows, columns)) of those frames, decoded one after another.

    Raises ImageProblem: no, too few or undecodable pixels, kinds of pixels that are not known here.
    """
    from pydicom import dcmread
    from pydicom.pixels import iter_pixels

    try:
        header = without_preamble(path) or dcmread(path, stop_before_pixels=True)
        _refuse_undecodable(header)
        source = header if "PixelData" in header else path
        for index, pixels in zip(indices, iter_pixels(source, indices=indices), strict=True):
            yield index, _grey(pixels, header)
    except ImageProblem:
        raise
    except Exception as error:  # pydicom and its decoders raise whatever a file's damage leads to
        raise ImageProblem("its pixels are missing, truncated or damaged") from error


def _refuse_undecodable(header: "Dataset") -> None:
    from pydicom.pixels import get_decoder

    syntax = header.file_meta.TransferSyntaxUID
    try:
        usable = get_decoder(syntax).is_available
    except NotImplementedError:
        usable = False
    if not usable:
        raise ImageProblem(
            f"is compressed as {syntax.name}, which cannot be decoded here; pip install pylibjpeg pylibjpeg-libjpeg "
            "pylibjpeg-openjpeg, or decompress it with 'gdcmconv --raw'"
        )


def _grey(pixels: NDArray[np.generic], header: "Dataset") -> NDArray[np.uint8]:
    kind = header.PhotometricInterpretation
    if kind in GREY and pixels.ndim == 2:
        grey = _windowed(pixels, header)
        return 255 - grey if kind == "MONOCHROME1" else grey
    if kind == PALETTE and pixels.ndim == 2:
        return _luma(_looked_up(pixels, header))
    if kind in COLOUR and pixels.ndim == 3 and header.BitsAllocated == 8:
        return _luma(pixels.astype(np.uint8))
    raise ImageProblem(f"has {header.BitsAllocated}-bit {kind} pixels, which are not known here; export it as RGB")


def _luma(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.array(Image.fromarray(pixels).convert("L"))


def _looked_up(pixels: NDArray[np.generic], header: "Dataset") -> NDArray[np.uint8]:
    """(rows, columns, 3) by the palette, whose entries have 8 or 16 bits."""
    from pydicom.pixels import apply_color_lut

    bits = header.RedPaletteColorLookupTableDescriptor[2]
    colours = apply_color_lut(pixels, header)[..., :3]
    return (colours >> 8 if bits > 8 else colours).astype(np.uint8)


def _windowed(values: NDArray[np.generic], header: "Dataset") -> NDArray[np.uint8]:
    """The window's range as 0 to 255, without one the range of the stored bits."""
    from pydicom.pixels import apply_rescale, apply_windowing

    if header.HighBit != header.BitsStored - 1:
        raise ImageProblem(f"stores {header.BitsStored} bits up to bit {header.HighBit}, which is not known here")
    if any(name in header for name in LOOKUP):
        raise ImageProblem("has a lookup table of grey values; export it without")
    half = 1 << header.BitsStored - 1 if header.PixelRepresentation else 0
    ends = np.array([-half, (1 << header.BitsStored) - 1 - half])
    shown, (low, high) = apply_rescale(values, header), apply_rescale(ends, header)
    if low == high:
        raise ImageProblem("rescales all grey values to one")
    if "WindowCenter" in header and "WindowWidth" in header:
        shown = apply_windowing(shown, header)
    else:
        low, high = min(low, high), max(low, high)
    return np.rint(np.clip((shown - low) / (high - low), 0, 1) * 255).astype(np.uint8)
