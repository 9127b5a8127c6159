"""LabelMe: a JSON file for each image (github.com/wkentaro/labelme).

`shapes` with `label`, `shape_type`, `points` in px from the image's corner; `imagePath` relative to the file,
`imageHeight`, `imageWidth`; `imageData` is the image file in base64, or null. Polygons, circles and masks are areas,
rectangles boxes, points and lines end points, flags that are set words.
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.data.importers import areas, values
from ushydra_lab.data.importers.form import Annotated, Area, Box, Entry, Points, Request, Shape, Word
from ushydra_lab.data.importers.pairs import below
from ushydra_lab.data.importers.problem import ExportProblem
from ushydra_lab.data.io.image import ImageProblem, decode, decode_colours


def read(request: Request) -> Iterator[Entry]:
    """One image of each JSON file at or below the source."""
    for path in below(request.source, ".json"):
        name = path.name if path == request.source else path.relative_to(request.source).as_posix()
        yield name, partial(_images, path, request)


def _images(path: Path, request: Request) -> list[Annotated]:
    content = values.loaded(path)
    size = values.size(content, "imageHeight", "imageWidth")
    shapes = [
        _shape(values.given(shape, "shape", values.record))
        for shape in values.required(content, "shapes", values.items)
    ]
    flags = values.given(content.get("flags") or {}, "flags", values.record)
    shapes += [Word(flag) for flag, is_set in flags.items() if is_set is True]
    named = values.required(content, "imagePath", values.text)
    try:
        image = request.pictures.find(named, path.parent)
    except ExportProblem:
        if not content.get("imageData"):
            raise
        name = path.relative_to(path.parent if path == request.source else request.source).as_posix()
        return [Annotated(name, partial(_embedded, path), size, tuple(shapes))]
    return [Annotated(request.pictures.name(image), image, size, tuple(shapes))]


def _embedded(path: Path) -> NDArray[np.uint8]:
    """Read again, so that not all images are held in memory."""
    data = values.required(values.loaded(path), "imageData", values.text)
    return _of_base64("imageData", data, lambda content: decode(content).grey)


def _of_base64(what: str, data: str, decoder: Callable[[bytes], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    try:
        return decoder(base64.b64decode(data, validate=True))
    except ImageProblem as problem:
        raise ExportProblem(f"{what} {problem}") from problem
    except (binascii.Error, ValueError) as error:
        raise ExportProblem(f"{what} is no base64 ({error}); export it again") from error


def _shape(fields: dict[str, Any]) -> Shape:
    label = values.required(fields, "label", values.text)
    kind = values.given(fields.get("shape_type") or "polygon", "shape_type", values.text)
    points = values.given(values.required(fields, "points", values.items), f"{label!r}:", values.points)
    if kind == "polygon":
        return areas.of_polygons(label, [points])
    if kind == "circle":
        return areas.of_circle(label, points)
    if kind == "mask":
        return _mask(label, points, values.required(fields, "mask", values.text))
    if kind == "rectangle" and len(points) == 2:
        (x1, y1), (x2, y2) = points
        return Box(label, (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)))
    if (kind, len(points)) in (("point", 1), ("line", 2), ("linestrip", 2)):
        return Points(label, points)
    raise ExportProblem(f"{label!r} is a {kind} of {len(points)} points, which has no place in a manifest; delete it")


def _mask(label: str, corners: tuple[tuple[float, float], ...], data: str) -> Area:
    """corners: of its first and last pixel."""
    if len(corners) != 2:
        raise ExportProblem(f"{label!r} is a mask of {len(corners)} points, not of its two corners")
    (left, top), (right, bottom) = ((int(x), int(y)) for x, y in corners)
    piece = _of_base64(f"{label!r}: mask", data, lambda content: decode_colours(content).pixels.max(axis=2)) > 0
    if piece.shape != (bottom - top + 1, right - left + 1):
        raise ExportProblem(
            f"{label!r} is a mask of {piece.shape[1]} x {piece.shape[0]} px, not as large as its corners say"
        )
    return areas.of_piece(label, piece, left, top)
