"""Finding the image file that an export names, below the folder of images and nowhere else."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ushydra_lab.data.importers.problem import ExportProblem
from ushydra_lab.data.io.files import exists, is_inside, spelt
from ushydra_lab.data.io.image import ImageProblem, decode, read_bytes

FOLDER = "images"  # where CVAT puts them beside its annotations


@dataclass(frozen=True)
class Pictures:
    """root: the folder of images."""

    root: Path

    def find(self, named: str, *near: Path) -> Path:
        """The file of a path as an export has it, of any system; near: folders that it may be relative to.

        Raises ExportProblem where there is none below root.
        """
        inner, top = PurePosixPath(named.replace("\\", "/")), Path(os.path.realpath(self.root))
        for candidate in () if "\0" in named else self._candidates(inner, near):
            path = spelt(candidate)
            if exists(path) and path.is_file() and is_inside(Path(os.path.realpath(path)), top):
                return path
        raise ExportProblem(
            f"its image {named[:200]!r} is not below {self.root}; give the images' folder: --images FOLDER"
        )

    def _candidates(self, inner: PurePosixPath, near: tuple[Path, ...]) -> Iterator[Path]:
        for name in (inner, inner.name):
            yield from (folder / name for folder in (*near, self.root, self.root / FOLDER))

    def name(self, path: Path) -> str:
        """The path below root, with '/'."""
        return Path(os.path.normpath(path)).relative_to(os.path.normpath(self.root)).as_posix()


def size(path: Path) -> tuple[int, int]:
    """(rows, columns) of an image file. Raises ExportProblem."""
    try:
        rows, columns = decode(read_bytes(path)).grey.shape
    except ImageProblem as problem:
        raise ExportProblem(f"its image {path.name} {problem}") from problem
    return rows, columns
