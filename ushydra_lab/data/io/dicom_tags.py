"""Reading tags of DICOM files, with or without preamble: an empty tag counts as absent."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ushydra_lab.data.io.image import ImageProblem

if TYPE_CHECKING:
    from pydicom import Dataset, FileDataset

BARE = {bytes((group, 0, element, 0)) for group in (2, 8) for element in (0, 1, 2, 5, 8, 0x10, 0x12, 0x16, 0x18)} | {
    b"\0\x08\0" + bytes((element,)) for element in (0, 1, 5, 8, 0x12, 0x16, 0x18)
}
"""How a data set without preamble begins, little- and big-endian: its first group, and an element of it."""


def is_bare(path: Path) -> bool:
    """Whether it begins with data elements of group 2 or 8 at once, without the preamble of a DICOM file."""
    with path.open("rb") as file:
        start = file.read(132)
    return start[128:] != b"DICM" and start[:4] in BARE


def read_header(path: Path, tags: list[str]) -> "FileDataset":
    """Read the tags that are before the pixels. Without a preamble the transfer syntax is the one that was found."""
    from pydicom import dcmread

    return _syntax_told(dcmread(path, stop_before_pixels=True, specific_tags=[*tags], force=is_bare(path)))


def pixel_source(path: Path) -> "Path | FileDataset":
    """The source for pydicom to decode pixels from: the file, or all of it in memory where it has no preamble."""
    from pydicom import dcmread

    return _syntax_told(dcmread(path, force=True)) if is_bare(path) else path


def _syntax_told(data: "FileDataset") -> "FileDataset":
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if not data.preamble:
        implicit, little = data.original_encoding
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        data.file_meta.setdefault("TransferSyntaxUID", syntax)
    return data


def optional_value(data: "Dataset", keyword: str) -> Any:
    """The value of a tag, None where it is absent or empty. Raises ImageProblem for a tag that cannot be read."""
    try:
        value = data.get(keyword)
        return None if value is None or (isinstance(value, Sequence) and not len(value)) else value
    except Exception as error:  # as pydicom converts a value when it is first asked for
        raise ImageProblem(f"its tag {keyword} is malformed") from error


def numbers(data: "Dataset", keyword: str) -> list[float]:
    """The values of a tag, none where it is absent or empty. Raises ImageProblem for what is no finite number."""
    value = optional_value(data, keyword)
    cells = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    try:
        found = [float(cell) for cell in cells if cell is not None and str(cell).strip()]
    except (TypeError, ValueError):
        raise ImageProblem(f"its tag {keyword} is no number") from None
    if not all(map(math.isfinite, found)):
        raise ImageProblem(f"its tag {keyword} is no finite number")
    return found


def required_integer(data: "Dataset", keyword: str) -> int:
    """The one whole number of a tag. Raises ImageProblem where there is none."""
    if len(found := numbers(data, keyword)) != 1:
        raise ImageProblem(f"has {'several values' if found else 'no value'} in its tag {keyword}")
    return int(found[0])


def frame_count(header: "Dataset") -> int:
    return required_integer(header, "NumberOfFrames") if optional_value(header, "NumberOfFrames") is not None else 1
