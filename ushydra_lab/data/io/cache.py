"""A disk cache of letterboxed images and label maps: a stack of canvases for each list of images and canvas size.

A canvas is known by the content of its file, how that is read, the part of it that is shown, the canvas size and the
letterbox version; a stack by its canvases in their order (`stack`). It is written once, by one process, while others
that want it wait; an interrupted writer is continued, and canvases that another stack has are copied from it. All
processes map the one file. A stack that is not as it was written is made again. One whose size, time of change and
inode are those that it had when all of it was verified is trusted: damage that changes none of them is not noticed.

A folder that outgrows its limit loses the stacks that were not used for longest, never one in use. Of a folder that
other users share, what may not be read or written is done without: canvases are then made in memory.
"""

import contextlib
import errno
import hashlib
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from ushydra_lab.data.io.image import ImageProblem, in_threads
from ushydra_lab.data.io.mask_codes import AnyCode
from ushydra_lab.data.io.shown import Canvas, Crop, Shown
from ushydra_lab.data.io.stack import PART, STACK, Entry, Put, Stack, last_used, note_verified, remove, size_of, writing
from ushydra_lab.errors import UserError
from ushydra_lab.files import unwritable
from ushydra_lab.geometry import letterbox

GIGABYTE = 10**9
ABANDONED_S = 86400  # an unfinished stack waits so long to be continued
FORMAT = 3  # of a stack's bytes
OLD_ENTRIES = "*/??/*"  # files of one canvas, of format 2
NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR)  # another user's, or a read-only file system


@dataclass(frozen=True)
class Canvases:
    """pixels: (N, rows, columns) uint8, not to be written to; native: N pairs (rows, columns); digests: sha256 of each
    of both.
    """

    pixels: Canvas
    native: list[tuple[int, int]]
    digests: list[bytes]

    @classmethod
    def of(cls, pixels: Canvas, entries: Sequence[Entry]) -> Self:
        return cls(pixels, [entry.native for entry in entries], [entry.digest for entry in entries])


@dataclass(frozen=True)
class CanvasCache:
    """folder: made when first needed; canvas: (rows, columns); limit_gb: size of the folder, all canvases together."""

    folder: Path
    canvas: tuple[int, int]
    limit_gb: float

    def load(
        self, paths: Sequence[str | Path], crops: Sequence[Crop | None] | None = None, masks: AnyCode | None = None
    ) -> Canvases:
        """The canvas of every image, in order; of every label map if `masks` tells how they are read. A row without
        one, whose path is empty, has NO_LABEL all over.

        crops: boxes (x1, y1, x2, y2) of the parts that are shown, native px. Raises UserError: unreadable images,
        disk full, folder that cannot be used.
        """
        files = [Path(path) if str(path) or not masks else None for path in paths]
        codes = [masks.at(file) if masks and file else None for file in files]
        images = [Shown(*each) for each in zip(files, crops or [None] * len(files), codes, strict=True)]
        keys = self._keys(images)
        try:
            return self._mapped(images, keys, self.stack(keys, "images" if masks is None else "labels"))
        except OSError as error:
            need = f"the canvases of {len(keys)} images need {size_of(len(keys), self.canvas):,} bytes in all"
            raise unwritable(self.folder, error, need) from error

    def stack(self, keys: Sequence[bytes], kind: str) -> Path:
        """The file of the canvases with these keys."""
        shape = "x".join(map(str, self.canvas))
        name = hashlib.sha256(b"".join(keys)).hexdigest()[:32]
        return self.folder / f"{kind}-v{letterbox.VERSION}.{FORMAT}-{shape}" / f"{name}{STACK}"

    def _keys(self, images: Sequence[Shown]) -> list[bytes]:
        def key(image: Shown) -> bytes | None:
            try:
                return image.key(image.content(), self.canvas)
            except ImageProblem:
                return None

        def problem(image: Shown) -> str:
            try:
                image.made(image.content(), self.canvas)
            except ImageProblem as found:
                return f"{image.path}: {found}"
            return ""

        keys = in_threads(key, images, "Reading images")
        if None in keys:
            _refuse(in_threads(problem, images, "Looking for more problems"))
        return [key or b"" for key in keys]

    def _mapped(self, images: Sequence[Shown], keys: Sequence[bytes], file: Path) -> Canvases:
        try:
            while not (found := self._sound(file, keys) or self._written(images, keys, file)):
                pass  # another process has just written it
        except OSError as error:
            if error.errno not in NOT_OURS:
                raise
            need = "its canvases are made anew each time, in memory; set cache_dir to a folder of your own to keep them"
            warnings.warn(f"{self.folder}: may not be written ({error.strerror}): {need}", stacklevel=4)
            return self._in_memory(images, keys, file.parent)
        return Canvases.of(found.pixels, [entry for entry in found.entries if entry])

    def _sound(self, file: Path, keys: Sequence[bytes]) -> Stack | None:
        """The stack of these keys, None where there is none or it is damaged."""
        try:
            found = Stack.opened(file, self.canvas)
            if found.keys != keys or not (found.verified or not found.damaged("Verifying canvases")):
                raise ValueError
        except OSError:  # not written yet, another process is shrinking the folder, or another user's
            return None
        except ValueError:
            warnings.warn(f"{file}: damaged canvases, made again", stacklevel=5)
            return None
        note_verified(file)
        return found

    def _written(self, images: Sequence[Shown], keys: Sequence[bytes], file: Path) -> Stack | None:
        """The stack of these keys after writing it, None if another process was faster."""
        with writing(file, len(keys), self.canvas) as mine:
            if not mine:
                return None
            put, lacking = mine
            self._make(images, keys, file.parent, put, lacking)
        note_verified(file)
        found = self._sound(file, keys)  # before others are removed, which then know that it is in use
        self._shrink(file)
        return found

    def _in_memory(self, images: Sequence[Shown], keys: Sequence[bytes], folder: Path) -> Canvases:
        pixels, entries = np.empty((len(keys), *self.canvas), np.uint8), dict[int, Entry]()

        def put(position: int, entry: Entry, canvas: Canvas) -> None:
            pixels[position], entries[position] = canvas, entry

        self._make(images, keys, folder, put, range(len(keys)))
        return Canvases.of(pixels, [entries[position] for position in range(len(keys))])

    def _make(
        self, images: Sequence[Shown], keys: Sequence[bytes], folder: Path, put: Put, positions: Sequence[int]
    ) -> None:
        """Copy the canvases at these positions from other stacks, or letterbox their images."""
        others = self._others(folder, {keys[position] for position in positions})

        def make(position: int) -> str:
            key, image = keys[position], images[position]
            if (kept := others.get(key)) and (entry := kept[0].sound(kept[1])):
                put(position, entry, kept[0].pixels[kept[1]])
                return ""
            try:
                content = image.content()
                if image.key(content, self.canvas) != key:
                    raise ImageProblem("was changed while it was read; run the same command again")
                native, canvas = image.made(content, self.canvas)
            except ImageProblem as problem:
                return f"{image.path}: {problem}"
            put(position, Entry.of(key, native, canvas), canvas)
            return ""

        _refuse(in_threads(make, positions, "Letterboxing"))

    def _others(self, folder: Path, keys: set[bytes]) -> dict[bytes, tuple[Stack, int]]:
        """Where other stacks, also unfinished and damaged ones, have the canvases with these keys."""
        found: dict[bytes, tuple[Stack, int]] = {}
        for file in (*folder.glob(f"*{STACK}"), *folder.glob(f"*{PART}")):
            with contextlib.suppress(OSError, ValueError):
                other = Stack.opened(file, self.canvas)
                found |= {key: (other, at) for at, key in enumerate(other.keys) if key in keys}
        return found

    def _shrink(self, made: Path) -> None:
        """Remove what was not used for longest until the folder fits its limit; and unfinished stacks of long ago."""
        if (size := made.stat().st_size) > self.limit_gb * GIGABYTE:
            more = f"{size / GIGABYTE:.3g} GB, more than cache_gb={self.limit_gb:g}"
            warnings.warn(f"{made}: {more}: all canvases that are not in use make room; set it higher", stacklevel=5)
        found, now = [], time.time()
        for path in (path for kind in (f"*/*{STACK}", f"*/*{PART}", OLD_ENTRIES) for path in self.folder.glob(kind)):
            with contextlib.suppress(OSError):  # removed meanwhile, or another user's
                found.append((last_used(path), path.stat().st_size, path))
        excess = sum(size for _, size, _ in found) - self.limit_gb * GIGABYTE
        for used, size, path in sorted(found):
            abandoned = path.suffix == PART and now - used > ABANDONED_S
            if (excess > 0 or abandoned) and path != made and remove(path):
                excess -= size


def _refuse(problems: Sequence[str]) -> None:
    if any(problems):
        headline = "images changed since the manifest was checked"
        raise UserError.listing(headline, [problem for problem in problems if problem])
