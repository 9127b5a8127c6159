"""Conversion of video frames, slices of volumes and regions of DICOM frames to PNG files, once per source.

The PNG files of a source lie in a folder of their own. Its name is a hash of the source's files (real path, size, time
of change) and of how they are read, so no name of a patient shows and a changed source is converted again. It is
written under a temporary name and renamed: several processes may share the cache, an interruption leaves nothing half.
Its index tells the sha256 of each: a source whose files are not as they were written is converted again.
"""

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ushydra_lab.data.inspection import grouped, left_out
from ushydra_lab.data.io.files import is_inside
from ushydra_lab.data.io.image import ImageProblem, in_threads
from ushydra_lab.errors import UserError
from ushydra_lab.files import sha256, unwritable

INDEX = "index.json"
ABANDONED_S = 3600  # a temporary folder this old is an interrupted process's
SAME_SPACING = 0.01  # spacings of the two axes that differ by less count as equal
REMEDY = "copy the file again, or take it out of the folder"

Images = Iterator[tuple[str, NDArray[np.uint8]]]
"""(name, pixels (H, W)): one after another, so that a long video need not be held in memory."""


@dataclass(frozen=True)
class Conversion:
    """A source to convert. files: all it is made of, the first is named in messages; how: reader, its version and all
    settings that the pixels depend on; read_images raises ImageProblem and nothing else.
    """

    files: tuple[Path, ...]
    how: str
    read_images: Callable[[], Images]


@dataclass(frozen=True)
class Converter:
    """folder: made when first needed, may be relative to the current directory; root: of the data set, which no source
    may lead out of; strict: a source that cannot be converted is an error, not left out.
    """

    folder: Path
    root: Path
    strict: bool = False

    def pngs(self, conversions: Sequence[Conversion]) -> list[dict[str, Path]]:
        """Map name -> PNG file (absolute) for every source, in order; only missing files are converted. The map of a
        source that cannot be converted is empty: these are listed with their reasons.

        Raises UserError: no source can be converted, or `strict` and some cannot; cache not writable.
        """

        def convert(conversion: Conversion) -> dict[str, Path] | tuple[str, str]:
            try:
                entry = self._entry(conversion)
                known = _complete(entry)
                return _written(entry, conversion.read_images()) if known is None else known
            except ImageProblem as problem:
                return _name(conversion.files[0], self.root), str(problem)

        try:
            self._remove_abandoned()
            results = in_threads(convert, conversions, "Converting to PNG")
        except OSError as error:
            need = "videos, volumes and DICOM files are converted to PNG here"
            raise unwritable(self.folder, error, need) from error
        problems = [result for result in results if isinstance(result, tuple)]
        if problems and (self.strict or len(problems) == len(conversions)):
            headline = f"{len(problems)} of {len(conversions)} files cannot be used; {REMEDY}"
            raise UserError.listing(headline, grouped(problems))
        if problems:
            print(left_out(problems, len(conversions)))
        return [{} if isinstance(result, tuple) else result for result in results]

    def _remove_abandoned(self) -> None:
        for path in self.folder.glob("??/.*"):
            if time.time() - path.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(path, ignore_errors=True)

    def _entry(self, conversion: Conversion) -> Path:
        digest = hashlib.sha256(conversion.how.encode())
        for file in conversion.files:
            path = Path(os.path.realpath(file))
            if not is_inside(path, Path(os.path.realpath(self.root))):
                raise ImageProblem("is a link that leads out of the data set's folder; copy the file into it")
            try:
                state = path.stat()
            except OSError as error:
                raise ImageProblem(f"{file.name} cannot be read ({error.strerror})") from error
            digest.update(f"\0{path}\0{state.st_size}\0{state.st_mtime_ns}".encode("utf-8", "surrogateescape"))
        key = digest.hexdigest()
        # Absolute, since a manifest's relative paths lie below the data set's folder.
        return self.folder.absolute() / key[:2] / key


def remarks(pngs: Sequence[dict[str, Path]]) -> tuple[str, ...]:
    """Remarks for the check's page, which names no files, since their names may be patients'."""
    count = sum(not made for made in pngs)
    text = f"{count} of {len(pngs)} files cannot be used and are left out; the check names them where it was called"
    return (text,) * bool(count)


def _name(file: Path, root: Path) -> str:
    """Below root where it lies there."""
    return str(file.relative_to(root) if file.is_relative_to(root) else file)


def _complete(entry: Path) -> dict[str, Path] | None:
    """The files of an entry, None if any is missing or not as it was written."""
    try:
        sums = dict(json.loads((entry / INDEX).read_text("utf-8")))
        files = {str(name): entry / f"{name}.png" for name in sums}
        return files if all(sha256(file) == sums[name] for name, file in files.items()) else None
    except (OSError, ValueError, TypeError):  # the last: an index of a version that wrote no sums
        return None


def _written(entry: Path, images: Images) -> dict[str, Path]:
    temporary, stale = (entry.with_name(f".{uuid.uuid4().hex}") for _ in range(2))
    sums: dict[str, str] = {}
    try:
        temporary.mkdir(parents=True)
        for name, pixels in images:
            Image.fromarray(pixels).save(temporary / f"{name}.png")
            sums[name] = sha256(temporary / f"{name}.png")
        (temporary / INDEX).write_text(json.dumps(sums), encoding="utf-8")
        if entry.exists() and _complete(entry) is None:
            entry.rename(stale)
        temporary.rename(entry)
    except OSError:
        if _complete(entry) is None:  # else another process was faster
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(stale, ignore_errors=True)
    return {name: entry / f"{name}.png" for name in sums}


def pixel_mm(spacing: tuple[float, float]) -> float:
    """mm per px of what `isotropic` makes. spacing: mm per px along (rows, columns)."""
    return min(spacing) if _differ(spacing) else float(np.sqrt(spacing[0] * spacing[1]))


def isotropic(pixels: NDArray[np.uint8], spacing: tuple[float, float], labels: bool = False) -> NDArray[np.uint8]:
    """(H, W) with square pixels: the coarser axis resampled to the finer spacing, bilinear, labels by the nearest."""
    if not _differ(spacing):
        return pixels
    rows, columns = isotropic_size((pixels.shape[0], pixels.shape[1]), spacing)
    method = Image.Resampling.NEAREST if labels else Image.Resampling.BILINEAR
    return np.array(Image.fromarray(pixels).resize((columns, rows), method))


def isotropic_size(size: tuple[int, int], spacing: tuple[float, float]) -> tuple[int, int]:
    """(rows, columns) that `isotropic` makes of those of an image."""
    if not _differ(spacing):
        return size
    return round(size[0] * spacing[0] / min(spacing)), round(size[1] * spacing[1] / min(spacing))


def _differ(spacing: tuple[float, float]) -> bool:
    return max(spacing) > min(spacing) * (1 + SAME_SPACING)
