"""Letterboxed canvases on disk, keyed by the content of the image file, the canvas size and the letterbox
version.

An entry is native rows and columns (two little-endian uint32), the canvas (uint8, row-major) and the sha256
of both. It is written to a temporary file and renamed, so several processes may share a folder and an
interrupted run goes on where it stopped; an entry that does not verify is made again.
"""

import contextlib
import errno
import hashlib
import uuid
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.data import letterbox
from ushydra_lab.data.image import ImageProblem, decode, in_threads, read_bytes
from ushydra_lab.data.letterbox import Letterbox
from ushydra_lab.errors import UserError

DIGEST = 32
HEADER = 8


@dataclass(frozen=True)
class Canvases:
    """pixels: (N, rows, columns) uint8; native: N pairs (rows, columns); digests: sha256 of each of both."""

    pixels: NDArray[np.uint8]
    native: list[tuple[int, int]]
    digests: list[bytes]


@dataclass(frozen=True)
class CanvasCache:
    """folder: made when first needed; canvas: (rows, columns)."""

    folder: Path
    canvas: tuple[int, int]

    def load(self, paths: Sequence[str | Path]) -> Canvases:
        """The canvas of every image, in order. Raises UserError: unreadable images, folder not writable."""
        pixels = np.empty((len(paths), *self.canvas), np.uint8)

        def fill(position: int) -> tuple[tuple[int, int], bytes, str]:
            try:
                body = self._body(read_bytes(Path(paths[position])))
            except ImageProblem as problem:
                return (0, 0), b"", f"{paths[position]}: {problem}"
            pixels[position] = np.frombuffer(body, np.uint8, offset=HEADER).reshape(self.canvas)
            rows, columns = np.frombuffer(body, "<u4", count=2).tolist()
            return (rows, columns), hashlib.sha256(body).digest(), ""

        try:
            results = in_threads(fill, range(len(paths)), "Letterboxing")
        except OSError as error:
            raise self._unwritable(error, len(paths)) from error
        if problems := [problem for _, _, problem in results if problem]:
            raise UserError.listing("images changed since the manifest was checked", problems)
        return Canvases(pixels, [native for native, _, _ in results], [digest for _, digest, _ in results])

    def entry(self, content: bytes) -> Path:
        """Where the canvas of an image file with this content lies."""
        key = hashlib.sha256(content).hexdigest()
        size = "x".join(map(str, self.canvas))
        return self.folder / f"canvas-v{letterbox.VERSION}-{size}" / key[:2] / key

    def _body(self, content: bytes) -> bytes:
        entry = self.entry(content)
        if entry.exists():
            if body := self._verified(entry.read_bytes()):
                return body
            warnings.warn(f"{entry}: damaged cache entry, made again", stacklevel=2)
        grey = decode(content).grey
        rows, columns = grey.shape
        canvas = Letterbox.fit((rows, columns), self.canvas).apply_image(grey)
        body = np.array(grey.shape, "<u4").tobytes() + canvas.tobytes()
        _write(entry, body + hashlib.sha256(body).digest())
        return body

    def _verified(self, stored: bytes) -> bytes | None:
        body, digest = stored[:-DIGEST], stored[-DIGEST:]
        whole = len(body) == HEADER + self.canvas[0] * self.canvas[1]
        return body if whole and hashlib.sha256(body).digest() == digest else None

    def _unwritable(self, error: OSError, images: int) -> UserError:
        size = images * (HEADER + self.canvas[0] * self.canvas[1] + DIGEST)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "no space left" if full else f"cannot be used ({error.strerror})"
        return UserError(
            f"{self.folder}: {reason}; the canvases of {images} images need {size:,} bytes in all: free some "
            "space or set cache_dir to another folder"
        )


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
