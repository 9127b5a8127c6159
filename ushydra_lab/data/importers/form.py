"""The one form that every export is brought to: images with labelled shapes, in px as `vocabulary` has them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.data.importers.codes import Codes
from ushydra_lab.data.importers.facts import Facts
from ushydra_lab.data.importers.pictures import Pictures

Size = tuple[int, int]
"""(rows, columns)."""


@dataclass(frozen=True)
class Area:
    """drawn: (rows, columns) of an image -> its pixels (H, W), k where it shows labels[k - 1], 0 elsewhere; raises
    ExportProblem.
    """

    labels: tuple[str, ...]
    drawn: Callable[[Size], NDArray[np.uint8]]


@dataclass(frozen=True)
class Box:
    """edges: (x1, y1, x2, y2)."""

    label: str
    edges: tuple[float, float, float, float]


@dataclass(frozen=True)
class Points:
    """at: x and y of one point, or of the two ends of a line."""

    label: str
    at: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Word:
    """A label of the image as a whole."""

    label: str


Shape = Area | Box | Points | Word


@dataclass(frozen=True)
class Annotated:
    """An image of an export. name: its path below the images' folder, by which facts are found; image: its file, or its
    grey pixels (H, W) where the export alone holds it as a picture; size: that its shapes were made at; spacing: mm per
    px along (rows, columns), None where the export does not say it.
    """

    name: str
    image: Path | Callable[[], NDArray[np.uint8]]
    size: Size
    shapes: tuple[Shape, ...]
    spacing: tuple[float, float] | None = None


Entry = tuple[str, Callable[[], list[Annotated]]]
"""(place in the export, for messages; its images). Calling the second raises ExportProblem."""


@dataclass(frozen=True)
class Request:
    """What the user states. suffix: what the name of a mask has behind that of its image."""

    source: Path
    pictures: Pictures
    facts: Facts
    codes: Codes
    names: Mapping[str, str]
    structures: tuple[str, ...] = ()
    suffix: str = ""
