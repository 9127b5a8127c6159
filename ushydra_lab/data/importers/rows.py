"""An image of an export -> the cells of its row in a manifest, and its label map."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.data.importers.form import Annotated, Area, Box, Points, Size
from ushydra_lab.data.importers.problem import ExportProblem
from ushydra_lab.data.vocabulary import ANNOTATIONS, EDGES, nearest

ENDS = {column[:-2] for known in ANNOTATIONS.values() if known.kind == "points" for column in known.columns}
WORDS = {level: known.name for known in ANNOTATIONS.values() for level in known.levels}

Cells = dict[str, float | str]


def name_of(label: str, names: Mapping[str, str]) -> str:
    """What the lab calls it, '' where it is to be ignored. Raises ExportProblem for what is no name of a column."""
    name = names.get(label, label)
    if name and not re.fullmatch(r"\w+", name):
        raise ExportProblem(
            f"label {label!r} is no name of letters, digits and '_'; give it one: --label {label!r}=NAME"
        )
    return name


def cells(image: Annotated, names: Mapping[str, str]) -> Cells:
    """Columns of boxes, end points and categories. Raises ExportProblem: a label without a place, or one used twice."""
    found: Cells = {}
    for shape in image.shapes:
        if isinstance(shape, Area) or not (name := name_of(shape.label, names)):
            continue
        new = (
            _box(name, shape)
            if isinstance(shape, Box)
            else _points(name, shape)
            if isinstance(shape, Points)
            else _word(name)
        )
        if twice := new.keys() & found.keys():
            raise ExportProblem(f"label {shape.label!r} gives {min(twice)} twice; a manifest has one of them an image")
        found |= new
    return found


def _box(name: str, shape: Box) -> Cells:
    return {f"{name}{edge}": value for edge, value in zip(EDGES, shape.edges, strict=True)}


def _points(name: str, shape: Points) -> Cells:
    ends = [name] if len(shape.at) == 1 else [f"{name}_1", f"{name}_2"]
    if unknown := [end for end in ends if end not in ENDS]:
        raise ExportProblem(
            f"point {unknown[0]!r} is none of {', '.join(sorted(ENDS))}{nearest(unknown[0], ENDS)}; rename or ignore "
            f"it: --label {shape.label!r}=NAME, or --label {shape.label!r}="
        )
    return {
        f"{end}_{axis}": value
        for end, point in zip(ends, shape.at, strict=True)
        for axis, value in zip("xy", point, strict=True)
    }


def _word(name: str) -> Cells:
    if name not in WORDS:
        raise ExportProblem(
            f"word {name!r} is none of {', '.join(WORDS)}{nearest(name, WORDS)}; ignore it: --label {name}="
        )
    return {WORDS[name]: name}


def structures(image: Annotated, names: Mapping[str, str]) -> set[str]:
    """The names of what its areas show. Raises ExportProblem as `name_of` does."""
    return {name for shape in image.shapes if isinstance(shape, Area) for name in named(shape, names)}


def named(area: Area, names: Mapping[str, str]) -> list[str]:
    """The names of its labels but those that are ignored. Raises ExportProblem as `name_of` does."""
    return [name for label in area.labels if (name := name_of(label, names))]


def label_map(image: Annotated, names: Mapping[str, str], order: Sequence[str], stated: bool) -> NDArray[np.uint8]:
    """(H, W), k where order[k - 1] is. stated: whether the order says which lies on top of which, the last on all.

    Raises ExportProblem: an area cannot be drawn, two structures overlap in an order that is not stated.
    """
    areas = [shape for shape in image.shapes if isinstance(shape, Area)]
    shown = {name: _inside(name, areas, names, image.size) for name in order}
    labels = np.zeros(image.size, np.uint8)
    for number, (name, inside) in enumerate(shown.items(), 1):
        if not stated and (covered := labels[inside]).any():
            other = order[int(covered.max()) - 1]
            raise ExportProblem(
                f"{other!r} and {name!r} overlap in {int((covered > 0).sum())} px; state all structures, those on top "
                f"last, such as --structures {other} {name}"
            )
        labels[inside] = number
    return labels


def _inside(name: str, areas: Sequence[Area], names: Mapping[str, str], size: Size) -> NDArray[np.bool_]:
    inside = np.zeros(size, bool)
    for area in areas:
        wanted = [number for number, label in enumerate(area.labels, 1) if name_of(label, names) == name]
        if wanted:
            inside |= np.isin(area.drawn(size), wanted)
    return inside
