"""Mask pictures, one of each image: PNG and the like by a colour of each structure, JPEG from a stated grey value on.

Each site may have colours of its own.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.data.importers import pairs, pictures
from ushydra_lab.data.importers.codes import AtLeast, Code
from ushydra_lab.data.importers.form import Annotated, Area, Entry, Request, Size
from ushydra_lab.data.importers.problem import ExportProblem
from ushydra_lab.data.io.image import ImageProblem, decode, read_bytes
from ushydra_lab.data.io.masks import MaskCode
from ushydra_lab.data.readers.images import SUFFIXES
from ushydra_lab.data.vocabulary import SITE


def read(request: Request) -> Iterator[Entry]:
    """The image of each mask at or below the source."""
    for mask, images in pairs.pairs(request, *SUFFIXES):
        yield pairs.place(mask, request), partial(_images, mask, images, request)


def _images(mask: Path, images: list[Path], request: Request) -> list[Annotated]:
    image = pairs.only(images, mask, request)
    name = request.pictures.name(image)
    code = request.codes.of(request.facts.of(name).get(SITE, ""))
    return [Annotated(name, image, pictures.size(image), (Area(tuple(code), partial(_labels, mask, code)),))]


def _labels(mask: Path, code: Code, size: Size) -> NDArray[np.uint8]:
    try:
        labels = _decoded(read_bytes(mask), code)
    except ImageProblem as problem:
        raise ExportProblem(str(problem)) from problem
    except ValueError as error:
        raise ExportProblem(f"--colours: {error}") from error
    if labels.shape != size:
        raise ExportProblem(
            f"is {labels.shape[1]} x {labels.shape[0]} px, its image {size[1]} x {size[0]}; export it again"
        )
    return labels


def _decoded(content: bytes, code: Code) -> NDArray[np.uint8]:
    for value in code.values():
        if isinstance(value, AtLeast):
            return (decode(content).grey >= value.grey).astype(np.uint8)
    return MaskCode.of(cast(dict[str, int | list[int]], dict(code))).decode(content)
