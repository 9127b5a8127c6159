"""3D Slicer segmentations (.seg.nrrd) beside their images (Slicer/Docs/developer_guide/modules/segmentations.md).

An NRRD file of label maps, in one or several layers, with the fields `SegmentN_Name`, `SegmentN_LabelValue` and
`SegmentN_Layer`. `Segmentation_ReferenceImageExtentOffset` says where its first voxel lies in the image. A file of one
voxel holds no segment. Of several frames those that show a structure are taken.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.data.importers import frames, pairs, values
from ushydra_lab.data.importers.form import Annotated, Entry, Request
from ushydra_lab.data.importers.problem import ExportProblem
from ushydra_lab.data.io import nrrd
from ushydra_lab.data.io.image import ImageProblem

REPRESENTATION = "Segmentation_SourceRepresentation"
OFFSET = "Segmentation_ReferenceImageExtentOffset"
Extent = tuple[int, int, int]
"""(frames, rows, columns)."""
SAME_SPACING = 0.01


def read(request: Request) -> Iterator[Entry]:
    """The images of each segmentation at or below the source."""
    for mask, images in pairs.pairs(request, pairs.SEGMENTATION):
        yield pairs.place(mask, request), partial(_images, mask, images, request)


def _images(mask: Path, images: list[Path], request: Request) -> list[Annotated]:
    shown = frames.opened(pairs.only(images, mask, request), request)
    try:
        found = nrrd.read(mask)
    except ImageProblem as problem:
        raise ExportProblem(str(problem)) from problem
    if shown.spacing and not np.allclose(found.spacing, shown.spacing, rtol=SAME_SPACING):
        raise ExportProblem(
            f"has pixels of {found.spacing} mm, its image of {shown.spacing}; export it in the image's geometry"
        )
    if "fractional" in found.fields.get(REPRESENTATION, "").lower():
        raise ExportProblem("holds fractions of segments; export it as a binary labelmap")
    structures = [_structure(mask, shown.shape, found, number) for number in _segments(found.fields)]
    _refuse_unnamed(found, structures)
    return shown.annotated(structures)


def _refuse_unnamed(found: nrrd.Nrrd, structures: list[frames.Structure]) -> None:
    """Raises ExportProblem for values that are no segment's."""
    if found.layers.size > 1 and (strange := {*np.unique(found.layers).tolist()} - {0, *(v for *_, v in structures)}):
        raise ExportProblem(f"shows values that no SegmentN_LabelValue names: {sorted(strange)[:6]}; export it again")


def _segments(fields: Mapping[str, str]) -> list[int]:
    return sorted({int(found[1]) for key in fields if (found := re.match(r"Segment(\d{1,6})_", key))})


def _structure(mask: Path, shape: Extent, found: nrrd.Nrrd, number: int) -> frames.Structure:
    """Raises ExportProblem."""
    name = values.required(found.fields, f"Segment{number}_Name", values.text)
    value = values.required(found.fields, f"Segment{number}_LabelValue", values.whole)
    layer = values.required(found.fields, f"Segment{number}_Layer", values.whole)
    if not 0 <= layer < len(found.layers):
        raise ExportProblem(f"says that {name!r} is in layer {layer}, of {len(found.layers)}")
    return name, partial(_layer, mask, mask.stat().st_mtime_ns, shape, layer), value


@lru_cache(maxsize=8)
def _layer(mask: Path, _changed: int, shape: Extent, layer: int) -> NDArray[np.integer]:
    """(frames, rows, columns) of the image. Raises ExportProblem where the segmentation sticks out of it."""
    found = nrrd.read(mask)
    piece = found.layers[layer]
    whole = np.zeros(shape, piece.dtype)
    if piece.size == 1:
        return whole
    words = found.fields.get(OFFSET, "0 0 0").split()
    column, row, frame = (
        values.given(word, OFFSET, values.whole) for word in (words if len(words) == 3 else ["?"] * 3)
    )
    first, last = np.array([frame, row, column]), np.array([frame, row, column]) + piece.shape
    if (first < 0).any() or (last > shape).any():
        raise ExportProblem(
            f"covers voxels {first} to {last} of an image of {shape} (frames, rows, columns); is it another's?"
        )
    whole[tuple(slice(a, b) for a, b in zip(first, last, strict=True))] = piece
    return whole
