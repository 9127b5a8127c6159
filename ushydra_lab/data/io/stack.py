"""A stack: the canvases of many images in one file, which every process that reads it maps into memory.

The canvases come first (uint8, row-major), then an entry of each: its key, native rows and columns (two little-endian
uint32), its digest, which is the sha256 of these and the canvas, and the sha256 of all three. An entry is written after
its canvas, so the entries tell how far an interrupted writer came. What is mapped is the system's copy of the file, one
for all processes: where memory is short it is dropped, and read again when it is looked at.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import IO, Self

import numpy as np

from ushydra_lab.data.io.image import in_threads
from ushydra_lab.data.io.shown import Canvas
from ushydra_lab.files import FULL, write_text

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

HASH = 32
ENTRY = HASH + 8 + HASH + HASH
STACK, PART, VERIFIED = ".stack", ".part", ".verified"

Put = Callable[[int, "Entry", Canvas], None]
"""Writes the canvas of a position, and its entry."""


@dataclass(frozen=True)
class Entry:
    """key: sha256 of what the canvas is made of; native: (rows, columns); digest: sha256 of `native` and the canvas."""

    key: bytes
    native: tuple[int, int]
    digest: bytes

    @classmethod
    def of(cls, key: bytes, native: tuple[int, int], canvas: Canvas) -> Self:
        digest = hashlib.sha256(np.array(native, "<u4").tobytes())
        digest.update(np.ascontiguousarray(canvas).data)
        return cls(key, native, digest.digest())

    @classmethod
    def unpacked(cls, stored: bytes) -> Self | None:
        """None: damaged, or never written."""
        body, seal = stored[:-HASH], stored[-HASH:]
        if hashlib.sha256(body).digest() != seal:
            return None
        rows, columns = np.frombuffer(body, "<u4", 2, HASH).tolist()
        return cls(body[:HASH], (rows, columns), body[-HASH:])

    def packed(self) -> bytes:
        body = self.key + np.array(self.native, "<u4").tobytes() + self.digest
        return body + hashlib.sha256(body).digest()


@dataclass(frozen=True)
class Stack:
    """pixels: (N, rows, columns) uint8, mapped read-only: to write to it ends the process; entries: N."""

    file: Path
    pixels: Canvas
    entries: list[Entry | None]

    @classmethod
    def opened(cls, file: Path, canvas: tuple[int, int]) -> Self:
        """Map a file; while it is mapped nobody removes it. Raises OSError; ValueError: has another size."""
        with file.open("rb") as opened:
            count, rest = divmod(os.fstat(opened.fileno()).st_size, size_of(1, canvas))
            if rest or not count:
                raise ValueError(f"{file}: has another size")
            _lock(opened, alone=False)  # the mapping keeps it
            pixels = np.memmap(opened, np.uint8, "r", shape=(count, *canvas))
            opened.seek(pixels.nbytes)
            return cls(file, pixels, [Entry.unpacked(opened.read(ENTRY)) for _ in range(count)])

    @property
    def keys(self) -> list[bytes | None]:
        """None: damaged, or not written yet."""
        return [entry.key if entry else None for entry in self.entries]

    def sound(self, position: int) -> Entry | None:
        """The entry of a canvas, None unless both are as they were written."""
        entry = self.entries[position]
        return entry if entry and Entry.of(entry.key, entry.native, self.pixels[position]) == entry else None

    def damaged(self, title: str) -> list[int]:
        """Positions that are damaged or not written yet, after reading all of them."""
        entries = in_threads(self.sound, range(len(self.entries)), title)
        return [position for position, entry in enumerate(entries) if entry is None]

    @property
    def verified(self) -> bool:
        """Whether the file has the size, time of change and inode that it had when all of it was verified."""
        try:
            return _note(self.file).read_text(encoding="ascii") == _state(self.file)
        except (OSError, UnicodeDecodeError):
            return False


def size_of(count: int, canvas: tuple[int, int]) -> int:
    """Bytes of a stack of so many canvases."""
    return count * (canvas[0] * canvas[1] + ENTRY)


def note_verified(file: Path) -> None:
    """Have `verified` hold until the file changes; the time of this note is when the stack was last used."""
    with contextlib.suppress(OSError):  # another user's folder: the next process reads all of it again
        write_text(_note(file), _state(file))


def _note(file: Path) -> Path:
    return file.with_suffix(VERIFIED)


def _state(file: Path) -> str:
    status = file.stat()
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"


@contextmanager
def writing(file: Path, count: int, canvas: tuple[int, int]) -> Iterator[tuple[Put, list[int]] | None]:
    """Write a stack alone: how a canvas is put there, and the positions that an interrupted writer has left out.

    The file takes its place when the block ends well. None: another process has put it there. Raises OSError.
    """
    part = file.with_suffix(PART)
    part.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as opened:
        if not _lock(opened, alone=True):
            print(f"another process is letterboxing these images, waiting for it ({part})")
            _lock(opened, alone=True, wait=True)
        if not (part.exists() and os.path.samestat(os.fstat(opened.fileno()), part.stat())):
            yield None
            return
        try:
            lacking = _lacking(opened, part, count, canvas)
            yield partial(_put, opened, Lock(), count), lacking
            os.fsync(opened.fileno())
            part.replace(file)
        except OSError as error:
            if error.errno in FULL:
                part.unlink(missing_ok=True)
            raise


def _lacking(opened: IO[bytes], part: Path, count: int, canvas: tuple[int, int]) -> list[int]:
    if os.fstat(opened.fileno()).st_size == size_of(count, canvas):
        return Stack.opened(part, canvas).damaged("Looking where it stopped")
    opened.truncate(0)
    _reserve(opened, size_of(count, canvas))
    return list(range(count))


def _reserve(opened: IO[bytes], size: int) -> None:
    """So that a disk without room says so at once."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(opened.fileno(), 0, size)
    else:  # macOS
        opened.truncate(size)


def _put(opened: IO[bytes], alone: Lock, count: int, position: int, entry: Entry, canvas: Canvas) -> None:
    with alone:
        opened.seek(position * canvas.size)
        opened.write(canvas.tobytes())
        opened.seek(count * canvas.size + position * ENTRY)
        opened.write(entry.packed())
        opened.flush()


def _lock(opened: IO[bytes], *, alone: bool, wait: bool = False) -> bool:
    """Lock a file until it is closed and unmapped: whether nobody else has it, or is alone with it.

    Where there are no locks (some network file systems) everybody may: processes that write one stack at a time write
    the same bytes to the same places.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(opened, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def last_used(file: Path) -> float:
    """Seconds since 1970. Raises OSError."""
    note = _note(file)
    return max(file.stat().st_mtime, note.stat().st_mtime if note.exists() else 0.0)


def remove(file: Path) -> bool:
    """Remove a stack as a whole: whether it could be. One that a process reads or writes, or another user's, stays."""
    try:
        with file.open("r+b") as opened:
            if not _lock(opened, alone=True):
                return False
            file.unlink()
            _note(file).unlink(missing_ok=True)
    except OSError:
        return False
    return True
