"""NIfTI (and MetaImage) label maps beside their images: pictures, or volumes of as many frames.

As everywhere in the lab, the orientation in the header is not applied: the first axis of the file runs along a row.
Of several frames those that show a structure are taken. mm per px are those of an image that is a volume; exactly 1 x 1
is what files say that were made from pictures, and is none.
"""

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.data.importers import frames, pairs
from ushydra_lab.data.importers.form import Annotated, Entry, Request
from ushydra_lab.data.importers.problem import ExportProblem
from ushydra_lab.data.io import volumes
from ushydra_lab.data.io.image import ImageProblem
from ushydra_lab.data.vocabulary import SITE


def read(request: Request) -> Iterator[Entry]:
    """The images of each label map at or below the source."""
    for mask, images in pairs.pairs(request, *volumes.SUFFIXES):
        yield pairs.place(mask, request), partial(_images, mask, images, request)


def _images(mask: Path, images: list[Path], request: Request) -> list[Annotated]:
    shown = frames.opened(pairs.only(images, mask, request), request)
    code = request.codes.of(request.facts.of(shown.name).get(SITE, ""))
    known = {name: value for name, value in code.items() if isinstance(value, int)}
    if len(known) < len(code):
        raise ExportProblem(f"holds labels; state them as numbers: --colours {next(iter(code))}=1 ...")
    layer = partial(_values, mask, mask.stat().st_mtime_ns, shown.shape, tuple(known.values()))
    return shown.annotated([(name, layer, value) for name, value in known.items()])


@lru_cache(maxsize=2)
def _values(mask: Path, _changed: int, shape: tuple[int, int, int], known: tuple[int, ...]) -> NDArray[np.uint8]:
    try:
        return volumes.labels(mask, shape, known)
    except ImageProblem as problem:
        raise ExportProblem(str(problem)) from problem
