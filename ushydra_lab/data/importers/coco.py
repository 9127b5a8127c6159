"""COCO: one JSON file with `images`, `annotations` and `categories` (cocodataset.org/#format-data).

A segmentation is a list of polygons [x1, y1, x2, y2, ...], or run lengths with `size` and `counts`, a list or a
compressed text, column by column. An annotation without one is its keypoints (`keypoints`: x, y, v; v = 0 where not
labelled; named by the category), or else its `bbox` [x, y, width, height].
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from ushydra_lab.data.importers import areas, run_lengths, values
from ushydra_lab.data.importers.form import Annotated, Area, Box, Entry, Points, Request, Shape
from ushydra_lab.data.importers.problem import ExportProblem

Record = dict[str, Any]


def read(request: Request) -> Iterator[Entry]:
    """The images of the file, with all their annotations; those of no image. Raises ExportProblem."""
    content = values.loaded(request.source)
    categories = _by_id(content, "categories")
    images = _by_id(content, "images")
    of_image: dict[int, list[Record]] = {}
    for number, annotation in enumerate(values.required(content, "annotations", values.items)):
        place = f"annotations[{number}]"
        found = values.given(annotation, place, values.record)
        of_image.setdefault(values.given(found, place, _image_id), []).append(found)
    for image, annotations in of_image.items():
        if image not in images:
            yield f"image {image}", partial(_absent, len(annotations))
    for key, image_record in images.items():
        yield f"image {key}", partial(_images, image_record, of_image.get(key, []), categories, request)


def _image_id(annotation: Record) -> int:
    return values.required(annotation, "image_id", values.whole)


def _absent(count: int) -> list[Annotated]:
    raise ExportProblem(f"is named by {count} annotations but is not in 'images'; export it again")


def _by_id(content: Record, key: str) -> dict[int, Record]:
    found: dict[int, Record] = {}
    for number, value in enumerate(values.required(content, key, values.items)):
        fields = values.given(value, f"{key}[{number}]", values.record)
        identifier = values.required(fields, "id", values.whole)
        if found.setdefault(identifier, fields) is not fields:
            raise ExportProblem(f"{key} has id {identifier} twice")
    return found


def _images(
    fields: Record, annotations: list[Record], categories: dict[int, Record], request: Request
) -> list[Annotated]:
    image = request.pictures.find(values.required(fields, "file_name", values.text), request.source.parent)
    size = values.size(fields, "height", "width")
    shapes = [shape for annotation in annotations for shape in _shapes(annotation, categories, size)]
    return [Annotated(request.pictures.name(image), image, size, tuple(shapes))]


def _shapes(annotation: Record, categories: dict[int, Record], size: tuple[int, int]) -> list[Shape]:
    identifier = values.required(annotation, "category_id", values.whole)
    if identifier not in categories:
        raise ExportProblem(f"category_id {identifier} is not in 'categories'")
    category = categories[identifier]
    label = values.required(category, "name", values.text)
    if segmentation := annotation.get("segmentation"):
        return [values.given(segmentation, f"{label!r}: segmentation", partial(_area, label, size))]
    if keypoints := annotation.get("keypoints"):
        names = [
            values.given(name, "keypoints", values.text)
            for name in values.required(category, "keypoints", values.items)
        ]
        return _keypoints(label, names, values.given(keypoints, f"{label!r}: keypoints", values.items))
    x, y, width, height = _numbers(values.required(annotation, "bbox", values.items), 4, f"{label!r}: bbox")
    return [Box(label, (x, y, x + width, y + height))]


def _area(label: str, size: tuple[int, int], segmentation: Any) -> Area:
    if isinstance(segmentation, list):
        flat = [_numbers(values.items(outline), len(outline) // 2 * 2, "polygon") for outline in segmentation]
        return areas.of_polygons(label, [list(zip(one[::2], one[1::2], strict=True)) for one in flat])
    found = values.record(segmentation)
    if [values.given(n, "size", values.whole) for n in values.required(found, "size", values.items)] != [*size]:
        raise ExportProblem(f"has another size ({found['size']}) than its image {[*size]}")
    counts = found.get("counts")
    if isinstance(counts, str):
        lengths = run_lengths.lengths_of(counts)
    else:
        lengths = [values.given(n, "counts", values.whole) for n in values.required(found, "counts", values.items)]
    return areas.of_piece(label, run_lengths.unpacked(lengths, size, "F"), 0, 0)


def _keypoints(label: str, names: list[str], flat: list[Any]) -> list[Shape]:
    numbers = _numbers(flat, 3 * len(names), f"{label!r}: keypoints")
    triples = zip(names, numbers[::3], numbers[1::3], numbers[2::3], strict=True)
    return [Points(name, ((x, y),)) for name, x, y, visible in triples if visible]


def _numbers(found: list[Any], count: int, what: str) -> list[float]:
    if len(found) != count:
        raise ExportProblem(f"{what} has {len(found)} numbers, not {count}")
    return [values.given(value, what, values.coordinate) for value in found]
