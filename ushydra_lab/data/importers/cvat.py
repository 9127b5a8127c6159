"""CVAT for images 1.1: one XML file (docs.cvat.ai, XML annotation format).

`<image name width height>` with `<polygon points="x,y;...">`, `<ellipse cx cy rx ry rotation>`, `<mask rle left top
width height>` (run lengths row by row), `<box xtl ytl xbr ybr>`, `<points>`, `<polyline>` and `<tag>`, each with a
label. A document type is refused: it is where XML defines entities, which can blow up or read other files.
"""

from collections.abc import Iterator
from functools import partial
from xml.etree import ElementTree

from ushydra_lab.data.importers import areas, run_lengths, values
from ushydra_lab.data.importers.form import Annotated, Area, Box, Entry, Points, Request, Shape, Word
from ushydra_lab.data.importers.problem import ExportProblem
from ushydra_lab.data.io.image import ImageProblem, read_bytes

Element = ElementTree.Element


class _NoDocumentType(ElementTree.TreeBuilder):
    def doctype(self, name: str, _pubid: str | None, _system: str | None) -> None:
        raise ExportProblem(f"defines a document type ({name}), which no export of CVAT does; it is not read")


def read(request: Request) -> Iterator[Entry]:
    """The images of the file. Raises ExportProblem."""
    root = _parsed(request)
    if root.find("track") is not None:
        raise ExportProblem("holds tracks of a video; export it as 'CVAT for images 1.1', with its frames as images")
    images = root.findall("image")
    if root.tag != "annotations" or not images:
        raise ExportProblem("has no <image> in <annotations>; export it as 'CVAT for images 1.1'")
    for element in images:
        yield f"image {element.get('id', '?')}", partial(_images, element, request)


def _parsed(request: Request) -> Element:
    try:
        parser = ElementTree.XMLParser(target=_NoDocumentType())
        return ElementTree.fromstring(read_bytes(request.source), parser)
    except ImageProblem as problem:
        raise ExportProblem(str(problem)) from problem
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the last: an unknown encoding
        raise ExportProblem(f"is no XML, or truncated ({error}); export it again") from error


def _images(element: Element, request: Request) -> list[Annotated]:
    image = request.pictures.find(values.required(element.attrib, "name", values.text), request.source.parent)
    size = values.size(element.attrib, "height", "width")
    return [Annotated(request.pictures.name(image), image, size, tuple(_shape(child) for child in element))]


def _shape(element: Element) -> Shape:
    label = values.required(element.attrib, "label", values.text)
    if element.tag == "polygon":
        return areas.of_polygons(label, [_points(label, element)])
    if element.tag == "ellipse":
        x, y, *radii = _numbers(label, element, "cx", "cy", "rx", "ry")
        return areas.of_ellipse(label, x, y, (radii[0], radii[1]), _rotation(label, element))
    if element.tag == "mask":
        return _mask(label, element)
    if element.tag == "box":
        if _rotation(label, element):
            raise ExportProblem(f"{label!r} is a turned box, which has no place in a manifest; draw it upright")
        x1, y1, x2, y2 = _numbers(label, element, "xtl", "ytl", "xbr", "ybr")
        return Box(label, (x1, y1, x2, y2))
    if element.tag in ("points", "polyline") and len(points := _points(label, element)) in (1, 2):
        return Points(label, points)
    if element.tag == "tag":
        return Word(label)
    raise ExportProblem(
        f"{label!r} is a <{element.tag}>, or of a number of points, that has no place in a manifest; delete it"
    )


def _mask(label: str, element: Element) -> Area:
    size = values.size(element.attrib, "height", "width")
    left, top = (values.required(element.attrib, key, values.whole) for key in ("left", "top"))
    runs = values.required(element.attrib, "rle", values.text).split(",")
    lengths = [values.given(run, f"{label!r}: rle", values.whole) for run in runs]
    return areas.of_piece(label, run_lengths.unpacked(lengths, size, "C"), left, top)


def _rotation(label: str, element: Element) -> float:
    return values.given(element.get("rotation", "0"), f"{label!r}: rotation", values.number)


def _numbers(label: str, element: Element, *keys: str) -> list[float]:
    return [values.required(element.attrib, key, values.coordinate) for key in keys]


def _points(label: str, element: Element) -> tuple[tuple[float, float], ...]:
    pairs = [pair.split(",") for pair in values.required(element.attrib, "points", values.text).split(";")]
    return tuple(values.given(pair, f"{label!r}:", values.point) for pair in pairs)
