"""Decoding frames of a DICOM file to grey by photometric interpretation, rescale and window (PS3.3 C.7.6.3, C.11).

A tag that is present but empty counts as absent. Overlays (groups 60xx) are never drawn; pydicom clears those kept in
unused bits of the pixels. Colour becomes luma (ITU-R BT.601), as everywhere here.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ushydra_lab.data.io.dicom_lengths import refuse_other_lengths
from ushydra_lab.data.io.dicom_tags import numbers, optional_value, pixel_source, read_header, required_integer
from ushydra_lab.data.io.image import ImageProblem

if TYPE_CHECKING:
    from pydicom import Dataset

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
PALETTE = "PALETTE COLOR"
DEEPEST = 16  # bits
LOOKUP = ("ModalityLUTSequence", "VOILUTSequence", "PresentationLUTSequence")
REQUIRED = (
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored",
    "PixelRepresentation",
)  # fmt: skip
OPTIONAL = (
    "NumberOfFrames", "PlanarConfiguration", "HighBit", "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleSlope",
    "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction", "PresentationLUTShape", *LOOKUP,
)  # fmt: skip
TABLES = [f"{n}PaletteColorLookupTable{k}" for n in ("Red", "Green", "Blue") for k in ("Data", "Descriptor")]
TABLES += [f"Segmented{n}PaletteColorLookupTableData" for n in ("Red", "Green", "Blue")]


def frames(path: Path, indices: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(index, (rows, columns)) of those frames, decoded one after another.

    Raises ImageProblem: no, too few, too many or undecodable pixels, kinds of pixels that are not known here.
    """
    from pydicom.pixels import iter_pixels

    try:
        header = _header(path)
        _refuse_undecodable(header)
        refuse_other_lengths(path, header, indices[0])
        for index, pixels in zip(indices, iter_pixels(pixel_source(path), indices=indices), strict=True):
            yield index, _grey(pixels, header)
    except ImageProblem:
        raise
    except Exception as error:  # pydicom and its decoders raise whatever a file's damage leads to
        raise ImageProblem("its pixels are missing, truncated or damaged") from error


def _header(path: Path) -> "Dataset":
    """What says how pixels are meant, without empty tags. Raises ImageProblem naming required ones that have none."""
    header = read_header(path, [*REQUIRED, *OPTIONAL, *TABLES])
    for keyword in (*REQUIRED, *OPTIONAL, *TABLES):
        if keyword in header and optional_value(header, keyword) is None:
            del header[keyword]
    missing = [keyword for keyword in REQUIRED if keyword not in header]
    if not missing and required_integer(header, "SamplesPerPixel") > 1 and "PlanarConfiguration" not in header:
        missing = ["PlanarConfiguration"]
    if "TransferSyntaxUID" not in header.file_meta:
        missing.append("TransferSyntaxUID")
    if missing:
        raise ImageProblem(f"has no value in its tag {', '.join(missing)}")
    return header


def _refuse_undecodable(header: "Dataset") -> None:
    from pydicom.pixels import get_decoder

    syntax = header.file_meta.TransferSyntaxUID
    try:
        usable = get_decoder(syntax).is_available
    except NotImplementedError:
        usable = False
    if not usable:
        raise ImageProblem(
            f"is compressed as {syntax.name}, which cannot be decoded here; pip install 'ushydra_lab[dicom]', or "
            "decompress it with 'gdcmconv --raw'"
        )


def _grey(pixels: NDArray[np.generic], header: "Dataset") -> NDArray[np.uint8]:
    kind, stored = header.PhotometricInterpretation, required_integer(header, "BitsStored")
    if "HighBit" in header and header.HighBit != stored - 1:
        raise ImageProblem(f"stores {stored} bits up to bit {header.HighBit}, which is not known here")
    if stored > DEEPEST:
        raise ImageProblem(f"has {stored}-bit pixels, which have no fixed range; export it with 8 or 16 bits")
    if kind in GREY and pixels.ndim == 2:
        grey = _windowed(pixels, header)
        if header.get("PresentationLUTShape") == "INVERSE" and kind == "MONOCHROME2":
            raise ImageProblem("says both MONOCHROME2 and PresentationLUTShape INVERSE, so what is black is unknown")
        return np.where(_padding(pixels, header), np.uint8(0), 255 - grey if kind == "MONOCHROME1" else grey)
    if kind == PALETTE and pixels.ndim == 2:
        return _luma(_looked_up(pixels, header))
    if kind in COLOUR and pixels.ndim == 3 and header.BitsAllocated == stored == 8:
        return _luma(pixels.astype(np.uint8))
    raise ImageProblem(f"has {stored}-bit {kind} pixels, which are not known here; export it as RGB")


def _luma(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.array(Image.fromarray(pixels).convert("L"))


def _looked_up(pixels: NDArray[np.generic], header: "Dataset") -> NDArray[np.uint8]:
    """(rows, columns, 3) by the palette, whose entries have 8 or 16 bits; some say 16 and use 8 of them."""
    from pydicom.pixels import apply_color_lut

    everything = np.arange(1 << required_integer(header, "BitsStored"), dtype=np.uint16)
    deep = apply_color_lut(everything[None], header)[..., :3].max() > 255
    colours = apply_color_lut(pixels, header)[..., :3]
    return (colours >> 8 if deep else colours).astype(np.uint8)


def _padding(values: NDArray[Any], header: "Dataset") -> NDArray[np.bool_]:
    """Pixels that are none of the image, by PixelPaddingValue and the range that it begins."""
    ends = [*numbers(header, "PixelPaddingValue"), *numbers(header, "PixelPaddingRangeLimit")]
    return (values >= min(ends)) & (values <= max(ends)) if ends else np.zeros(values.shape, bool)


def _windowed(values: NDArray[np.generic], header: "Dataset") -> NDArray[np.uint8]:
    """The window's range as 0 to 255, without one the range of the stored bits."""
    from pydicom.pixels import apply_rescale, apply_windowing

    stored = required_integer(header, "BitsStored")
    if found := [name for name in LOOKUP if name in header]:
        raise ImageProblem(f"has a lookup table of grey values ({found[0]}); export it without")
    windowed = _checked_window(header)
    half = 1 << stored - 1 if header.PixelRepresentation else 0
    ends = np.array([-half, (1 << stored) - 1 - half])
    shown, (low, high) = apply_rescale(values, header), apply_rescale(ends, header)
    if low == high:
        raise ImageProblem("rescales all grey values to one (RescaleSlope)")
    if windowed:
        shown = apply_windowing(shown, header)
    else:
        low, high = min(low, high), max(low, high)
    return np.rint(np.clip((shown - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def _checked_window(header: "Dataset") -> bool:
    """Whether there is a window; fills in the half of a rescale that is absent. Raises ImageProblem naming the tag."""
    slope, intercept = numbers(header, "RescaleSlope"), numbers(header, "RescaleIntercept")
    if bool(slope) != bool(intercept):
        header.RescaleSlope, header.RescaleIntercept = (slope or [1])[0], (intercept or [0])[0]
    if not (numbers(header, "WindowCenter") and (widths := numbers(header, "WindowWidth"))):
        return False
    if widths[0] <= 0:
        raise ImageProblem(f"has a WindowWidth of {widths[0]:g}, which shows nothing; export it without its window")
    return True
