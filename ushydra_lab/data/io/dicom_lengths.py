"""Check that a DICOM file has as many pixels as its header declares, which an edited file may not."""

import struct
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ushydra_lab.data.io.dicom_tags import frame_count, required_integer
from ushydra_lab.data.io.image import ImageProblem

if TYPE_CHECKING:
    from pydicom import Dataset

JPEG_SIZES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers of JPEG and JPEG-LS."""
JPEG, JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
ITEM_HEADER = 8  # bytes: tag and length of a fragment (PS3.5 A.4)
PIXEL_DATA = (0x7FE0, 0x0010)


def refuse_other_lengths(path: Path, header: "Dataset", index: int) -> None:
    """Raises ImageProblem: more or fewer pixels than Rows, Columns and NumberOfFrames hold, a file that ends before its
    pixels do, or a compressed frame of another size; `index`: the frame that is looked at.
    """
    from pydicom import dcmread

    with path.open("rb") as file:
        dcmread(file, stop_before_pixels=True, specific_tags=[], force=True)  # leaves the file at the pixels' tag
        length = _pixel_length(file, header)
        if header.file_meta.TransferSyntaxUID.is_encapsulated:
            _refuse_other_size(file, header, index)
        else:
            _refuse_other_length(length, header)
            if path.stat().st_size < file.tell() + length:
                raise ImageProblem("ends before its pixels do; copy it again")


def _pixel_length(file: BinaryIO, header: "Dataset") -> int:
    """Reads the pixels' tag, VR and length (PS3.5 7.1); 0 where there are no pixels."""
    syntax = header.file_meta.TransferSyntaxUID
    order = "<" if syntax.is_little_endian else ">"
    layout = f"{order}2HI" if syntax.is_implicit_VR else f"{order}2H4xI"
    content = file.read(struct.calcsize(layout))
    if len(content) < struct.calcsize(layout):
        return 0
    *tag, length = struct.unpack(layout, content)
    return length if tuple(tag) == PIXEL_DATA else 0


def _refuse_other_length(length: int, header: "Dataset") -> None:
    samples = 2 if header.PhotometricInterpretation == "YBR_FULL_422" else required_integer(header, "SamplesPerPixel")
    row = required_integer(header, "Columns") * samples * required_integer(header, "BitsAllocated") / 8
    wanted = ceil(row * required_integer(header, "Rows") * frame_count(header))
    if not wanted <= length < wanted + max(row, 2):  # less than a row more is padding
        raise ImageProblem(
            f"holds {length:,} bytes of pixels, where Rows, Columns and NumberOfFrames make {wanted:,}: they are not "
            "its own; export it again"
        )


def _refuse_other_size(file: BinaryIO, header: "Dataset", index: int) -> None:
    from pydicom.encaps import get_frame, parse_basic_offsets, parse_fragments

    start, count = file.tell(), frame_count(header)
    offsets = parse_basic_offsets(file)
    _, fragments = parse_fragments(file)
    held = len(offsets) or _images(file, fragments)
    if held != count:
        raise ImageProblem(f"holds {held} frames, where NumberOfFrames is {count}; export it again")
    file.seek(start)
    size = _size(get_frame(file, index, number_of_frames=count))
    said = required_integer(header, "Rows"), required_integer(header, "Columns")
    if size and size != said:
        raise ImageProblem(
            f"holds frames of {size[1]} x {size[0]} px, where Columns and Rows are {said[1]} x {said[0]}; export it "
            "again"
        )


def _images(file: BinaryIO, fragments: list[int]) -> int:
    """How many of the fragments begin an image; a JPEG may be spread over several, other kinds have one each."""
    beginnings = []
    for place in fragments:
        file.seek(place + ITEM_HEADER)
        beginnings.append(file.read(len(JPEG_2000)))
    begun = sum(beginning.startswith((JPEG, JPEG_2000)) for beginning in beginnings)
    return begun or len(fragments)


def _size(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) of a JPEG, JPEG-LS or JPEG 2000 stream; None of others."""
    if frame.startswith(JPEG_2000):
        x, y, x0, y0 = struct.unpack_from(">4I", frame, 8)
        return y - y0, x - x0
    if not frame.startswith(JPEG):
        return None
    place = 2
    while place + 9 <= len(frame):
        _, marker, length = struct.unpack_from(">BBH", frame, place)
        if marker in JPEG_SIZES:
            rows, columns = struct.unpack_from(">2H", frame, place + 5)
            return rows, columns
        place += 1 if marker == 0xFF else 2 + length
    return None
