"""Decoding a file to its frames, one after another: a still, a DICOM file's regions, a volume's slices, a video."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ushydra_lab.data.geometry import boxes as boxes_of
from ushydra_lab.data.io import dicom_pixels, videos, volumes
from ushydra_lab.data.io.convert import isotropic, pixel_mm
from ushydra_lab.data.io.dicom_files import examined
from ushydra_lab.data.io.dicom_tags import numbers, read_header
from ushydra_lab.data.io.image import ImageProblem, decode, read_bytes
from ushydra_lab.data.vocabulary import CROP
from ushydra_lab.data.vocabulary import box as box_of
from ushydra_lab.files import sha256
from ushydra_lab.geometry.letterbox import Letterbox
from ushydra_lab.prediction.frames import Frame
from ushydra_lab.prediction.inputs import Item

Grey = NDArray[np.uint8]
Pair = tuple[float, float]
Wanted = Callable[[int], bool]
"""Whether the frame of this number is to be decoded."""
SHORT = 16
LOST = (1.0, 1.0)
"""mm along (rows, columns) that volumes say which were made from pictures: nothing is measured by them."""


def still(item: Item) -> Frame:
    """The frame of an image file. Raises ImageProblem."""
    found = decode(read_bytes(item.path))
    return _frame(item, found.grey, found.sha256)


def frames(item: Item, wanted: Wanted) -> Iterator[Frame]:
    """The wanted frames of a file that may have several. Raises ImageProblem, after those that could be decoded."""
    if not item.path.is_file():
        read_bytes(item.path)  # which says what is wrong
    yield from {"dicom": _dicom, "volume": _volume, "video": _video}[item.kind](item, wanted, sha256(item.path))


def _frame(
    item: Item,
    pixels: Grey,
    digest: str,
    box: tuple[int, int, int, int] | None = None,
    spacing: Pair | None = None,
    sides: Pair = (1.0, 1.0),
    told: str = "",
    **known: Any,
) -> Frame:
    """A frame of a file: the region in `box` px with square pixels.

    spacing: mm along (rows, columns) by the file, None where only the item may know it; sides: of a pixel along both,
    in any unit; told: what of the file says the spacing.
    """
    rows, columns = pixels.shape
    x1, y1, x2, y2 = box or (0, 0, columns, rows)
    if text := _box_problem(item, rows, columns):
        raise ImageProblem(text)
    grey = isotropic(pixels[y1:y2, x1:x2], sides)
    place = Letterbox.cut((rows, columns), (x1, y1, x2, y2), (grey.shape[0], grey.shape[1]))
    if spacing is None:
        unit = item.pixel_mm / min(sides)
        native, mm, told = (sides[1] * unit, sides[0] * unit), item.pixel_mm, item.spacing_from
    else:
        native, mm = (spacing[1], spacing[0]), pixel_mm(spacing)
    known |= {"pixel_mm": mm, "native_mm": native, "spacing_from": told, "crop": item.crop, "boxes": item.boxes}
    return Frame(item.name, grey, place, digest[:SHORT], **known)


def _box_problem(item: Item, rows: int, columns: int) -> str:
    """What is wrong with a crop or a box that the table gives, in an image of this size; nothing where none is."""
    given = {**item.boxes, **({CROP.name: item.crop} if item.crop else {})}
    if not given:
        return ""
    columns_of = {name: box_of(name.removesuffix("_box")).columns for name in given}
    cells = {column: value for name in given for column, value in zip(columns_of[name], given[name], strict=True)}
    return "; ".join(text for _, text in boxes_of(pd.DataFrame([cells | {"height": rows, "width": columns}])))


def _dicom(item: Item, wanted: Wanted, digest: str) -> Iterator[Frame]:
    warnings.filterwarnings("ignore", module="pydicom")  # whose warnings quote the values of tags
    file = examined(item.path, b"names no subject", "all", "folder")
    if reason := file.problem or file.skipped:
        raise ImageProblem(reason)
    several, step = len(file.frames) > 1, _frame_s(item.path)
    chosen = [index for index in file.frames if wanted(index)]
    for index, pixels in dicom_pixels.frames(item.path, chosen) if chosen else ():
        when = {"frame": index, "time_s": index * step, "rate": 1 / step} if several else {}
        for n, region in enumerate(file.regions):
            told = "dicom_region" if region.calibrated else "dicom_pixelspacing"
            yield _frame(item, pixels, digest, region.box, region.spacing, region.sides, told, region=n, **when)


def _frame_s(path: Path) -> float:
    """Seconds from frame to frame, NaN where the file does not say."""
    found = numbers(read_header(path, ["FrameTime"]), "FrameTime")
    return found[0] / 1000 if len(found) == 1 and found[0] > 0 else nan


def _volume(item: Item, wanted: Wanted, digest: str) -> Iterator[Frame]:
    header = volumes.header(item.path)
    values = volumes.read(item.path)
    spacing = None if header.spacing == LOST else header.spacing
    for index in filter(wanted, range(len(values))):
        when = {"frame": index} if len(values) > 1 else {}
        grey = volumes.grey(values[index])
        yield _frame(item, grey, digest, None, spacing, header.spacing, "volume_header", **when)


def _video(item: Item, wanted: Wanted, digest: str) -> Iterator[Frame]:
    for shown in videos.frames(item.path, wanted):
        yield _frame(item, shown.grey, digest, frame=shown.index, time_s=shown.time_s, rate=shown.rate)
