"""The frames of an image that is a picture, a NIfTI or MetaImage volume, or an NRRD file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.data.importers import pictures
from ushydra_lab.data.importers.form import Annotated, Area, Request, Size
from ushydra_lab.data.importers.problem import ExportProblem
from ushydra_lab.data.io import nrrd, volumes
from ushydra_lab.data.io.image import ImageProblem

UNCALIBRATED = (1.0, 1.0)
Structure = tuple[str, Callable[[], NDArray[np.integer]], int]
"""(label, what reads its layer (frames, rows, columns), its value there)."""


@dataclass(frozen=True)
class Frames:
    """shape: (frames, rows, columns); spacing: mm per px along (rows, columns), None where the file does not say it."""

    name: str
    path: Path
    shape: tuple[int, int, int]
    spacing: tuple[float, float] | None
    is_picture: bool

    def annotated(self, structures: Sequence[Structure]) -> list[Annotated]:
        """The frames that show a structure, or the only one. Raises ExportProblem as reading the layers does."""
        shows = np.zeros(self.shape[0], bool)
        for _, layer, value in structures:
            shows |= (layer() == value).any(axis=(1, 2))
        found = np.flatnonzero(shows) if len(shows) > 1 else [0]
        return [self._one(int(frame), structures) for frame in found]

    def _one(self, frame: int, structures: Sequence[Structure]) -> Annotated:
        image = self.path if self.is_picture else partial(_grey, self.path, frame)
        shapes = tuple(Area((label,), partial(_drawn, layer, frame, value)) for label, layer, value in structures)
        return Annotated(self.name, image, self.shape[1:], shapes, self.spacing)


def _drawn(layer: Callable[[], NDArray[np.integer]], frame: int, value: int, _size: Size) -> NDArray[np.uint8]:
    return (layer()[frame] == value).astype(np.uint8)


def opened(path: Path, request: Request) -> Frames:
    """Raises ExportProblem."""
    name = request.pictures.name(path)
    if not path.name.lower().endswith((*volumes.SUFFIXES, nrrd.SUFFIX)):
        return Frames(name, path, (1, *pictures.size(path)), None, is_picture=True)
    try:
        found = nrrd.read(path) if path.name.lower().endswith(nrrd.SUFFIX) else volumes.header(path)
    except ImageProblem as problem:
        raise ExportProblem(f"its image {path.name} {problem}") from problem
    spacing = None if found.spacing == UNCALIBRATED else found.spacing
    return Frames(name, path, found.shape, spacing, is_picture=False)


def _grey(path: Path, frame: int) -> NDArray[np.uint8]:
    try:
        return volumes.grey(_volume(path, path.stat().st_mtime_ns)[frame])
    except ImageProblem as problem:
        raise ExportProblem(f"its image {path.name} {problem}") from problem


@lru_cache(maxsize=1)
def _volume(path: Path, _changed: int) -> NDArray[np.generic]:
    if not path.name.lower().endswith(nrrd.SUFFIX):
        return volumes.read(path)
    found = nrrd.read(path)
    if len(found.layers) > 1:
        raise ImageProblem(
            f"holds {len(found.layers)} values per pixel, not grey; use the picture that it was made from"
        )
    return found.layers[0]
