"""A disk cache of letterboxed images and label maps, keyed by the content of the file, how it is read, the part of it
that is shown, the canvas size and the letterbox version.

An entry is native rows and columns (two little-endian uint32), the canvas (uint8, row-major) and the sha256
of its name and both. It is written to a temporary file and renamed, so several processes may share a folder and an
interrupted run goes on where it stopped; an entry that does not verify is made again. A folder that outgrows its limit
loses the entries that were not used for longest. Of a folder that other users share, what may not be read or written is
done without.
"""

import contextlib
import errno
import hashlib
import os
import time
import uuid
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.data.io.image import ImageProblem, decode, in_threads, read_bytes
from ushydra_lab.data.io.mask_codes import AnyCode
from ushydra_lab.data.io.masks import MaskCode
from ushydra_lab.errors import UserError
from ushydra_lab.files import unwritable
from ushydra_lab.geometry import letterbox
from ushydra_lab.geometry.letterbox import Letterbox

DIGEST = 32
HEADER = 8
GIGABYTE = 10**9
ABANDONED_S = 3600  # a temporary file this old is an interrupted process's
FORMAT = 2  # of an entry's bytes
NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR)  # another user's, or a read-only file system

Crop = Sequence[float]


@dataclass(frozen=True)
class Canvases:
    """pixels: (N, rows, columns) uint8; native: N pairs (rows, columns); digests: sha256 of each of both."""

    pixels: NDArray[np.uint8]
    native: list[tuple[int, int]]
    digests: list[bytes]


@dataclass(frozen=True)
class CanvasCache:
    """folder: made when first needed; canvas: (rows, columns); limit_gb: size of the folder, all canvases together."""

    folder: Path
    canvas: tuple[int, int]
    limit_gb: float

    def load(
        self, paths: Sequence[str | Path], crops: Sequence[Crop | None] | None = None, masks: AnyCode | None = None
    ) -> Canvases:
        """The canvas of every image, in order; of every label map if `masks` tells how they are read.

        crops: boxes (x1, y1, x2, y2) of the parts that are shown, native px. Raises UserError: unreadable images,
        folder not writable.
        """
        pixels = np.empty((len(paths), *self.canvas), np.uint8)
        windows = crops or [None] * len(paths)
        made: list[Path] = []

        def fill(position: int) -> tuple[tuple[int, int], bytes, str]:
            try:
                path = Path(paths[position])
                content, code = read_bytes(path), masks.at(path) if masks else None
                entry = self.entry(content, windows[position], code)
                if not (body := self._stored(entry)):
                    body = self._make(content, windows[position], code)
                    if self._keep(entry, body):
                        made.append(entry)
            except ImageProblem as problem:
                return (0, 0), b"", f"{paths[position]}: {problem}"
            pixels[position] = np.frombuffer(body, np.uint8, offset=HEADER).reshape(self.canvas)
            rows, columns = np.frombuffer(body, "<u4", count=2).tolist()
            return (rows, columns), hashlib.sha256(body).digest(), ""

        try:
            results = in_threads(fill, range(len(paths)), "Letterboxing")
        except OSError as error:
            size = len(paths) * (HEADER + self.canvas[0] * self.canvas[1] + DIGEST)
            need = f"the canvases of {len(paths)} images need {size:,} bytes in all"
            raise unwritable(self.folder, error, need) from error
        if problems := [problem for _, _, problem in results if problem]:
            raise UserError.listing("images changed since the manifest was checked", problems)
        if made:
            self._shrink()
        return Canvases(pixels, [native for native, _, _ in results], [digest for _, digest, _ in results])

    def entry(self, content: bytes, crop: Crop | None = None, masks: MaskCode | None = None) -> Path:
        """Path of the cached canvas of a file with this content."""
        key = hashlib.sha256(content).hexdigest()
        size = "x".join(map(str, self.canvas))
        kind = f"labels-{masks.key}" if masks else "canvas"
        shown = "" if crop is None else "-" + "-".join(f"{edge:g}" for edge in crop)
        return self.folder / f"{kind}-v{letterbox.VERSION}.{FORMAT}-{size}" / key[:2] / f"{key}{shown}"

    def _stored(self, entry: Path) -> bytes | None:
        try:
            stored = entry.read_bytes()
        except OSError:  # not made yet, another process is shrinking the folder, or another user's
            return None
        body, digest = stored[:-DIGEST], stored[-DIGEST:]
        if len(body) == HEADER + self.canvas[0] * self.canvas[1] and _seal(entry, body) == digest:
            with contextlib.suppress(OSError):  # another user's
                os.utime(entry)
            return body
        warnings.warn(f"{entry}: damaged cache entry, made again", stacklevel=2)
        return None

    def _make(self, content: bytes, crop: Crop | None, masks: MaskCode | None) -> bytes:
        pixels = masks.decode(content) if masks else decode(content).grey
        rows, columns = pixels.shape
        canvas = Letterbox.fit((rows, columns), self.canvas, crop).apply_image(pixels, nearest=masks is not None)
        return np.array(pixels.shape, "<u4").tobytes() + canvas.tobytes()

    def _keep(self, entry: Path, body: bytes) -> bool:
        """Whether the entry could be written; where it may not, the run goes on without."""
        try:
            _write(entry, body + _seal(entry, body))
        except OSError as error:
            if error.errno not in NOT_OURS:
                raise
            need = "its canvases are made anew each time; set cache_dir to a folder of your own to keep them"
            warnings.warn(f"{self.folder}: may not be written ({error.strerror}): {need}", stacklevel=2)
            return False
        return True

    def _shrink(self) -> None:
        """Remove what was not used for longest until the folder fits its limit; what others are writing stays."""
        found, now = [], time.time()
        for path in self.folder.glob("*/??/*"):
            with contextlib.suppress(OSError):  # removed meanwhile, or another user's
                status = path.stat()
                if not path.name.startswith("."):
                    found.append((status.st_mtime, status.st_size, path))
                elif now - status.st_mtime > ABANDONED_S:
                    path.unlink()
        excess = sum(size for _, size, _ in found) - self.limit_gb * GIGABYTE
        for _, size, path in sorted(found):
            if excess <= 0:
                break
            with contextlib.suppress(OSError):
                path.unlink()
            excess -= size


def _seal(entry: Path, body: bytes) -> bytes:
    """sha256 of an entry's place and content: the bytes of another entry are damage, too."""
    return hashlib.sha256("/".join(entry.parts[-3:]).encode() + b"\0" + body).digest()


def _write(entry: Path, stored: bytes) -> None:
    temporary = entry.with_name(f".{uuid.uuid4().hex}")
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(stored)
        temporary.replace(entry)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
