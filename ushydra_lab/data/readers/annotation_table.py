"""Annotations of DICOM files and videos: a table of their own, joined by a file's name or SOP Instance UID.

It has the columns of a manifest (`vocabulary`). `image` is a file's path below the data's folder, or its name alone;
`sop_instance_uid` may stand in its place. `frame`, from 0, says which frame a row is about; without that column it is
about all frames that are read. Coordinates are px of the whole frame as it is stored (`joined`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Self

import pandas as pd

from ushydra_lab.data.io.files import spelt
from ushydra_lab.data.readers.tables import read_table
from ushydra_lab.data.vocabulary import CROP, DECLARED, IMAGE, MASK, annotations, nearest
from ushydra_lab.errors import UserError

UID, FRAME = "sop_instance_uid", "frame"
UNJOINED = (MASK, *DECLARED)
"""Columns of a manifest that are about an image file as a whole, which these frames are not."""
SHOWN = 10


@dataclass(frozen=True)
class Recorded:
    """A file of frames. name: its path below the data's folder; label: what messages call it; frames: the indices that
    can be read, None where that is not known; uid: its SOP Instance UID.
    """

    name: str
    label: str
    frames: tuple[int, ...] | None
    uid: str = ""


@dataclass(frozen=True, eq=False)
class AnnotationTable:
    """rows: every cell a text, indexed by line; key: the column that names files, `image` or UID."""

    rows: pd.DataFrame
    path: Path
    key: str

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Self:
        """Raises UserError: no such table, neither or both columns that name files, columns that cannot be joined."""
        path = spelt(Path(path))
        rows = read_table(path, absent="no such file; set data.annotations to the table of annotations")
        keys = [key for key in (IMAGE, UID) if key in rows]
        if len(keys) != 1:
            given = "both" if keys else f"neither{nearest(IMAGE, map(str, rows))}"
            raise UserError(f"{path}: one column names the files, {IMAGE!r} or {UID!r}; it has {given}")
        if unjoined := [column for column in UNJOINED if column in rows]:
            remedy = "save the frames as image files, and use data=manifest"
            raise UserError(f"{path}: {', '.join(unjoined)}: of image files alone; take them out, or {remedy}")
        return cls(rows, path, keys[0])

    @property
    def by_frame(self) -> bool:
        return FRAME in self.rows

    @property
    def described(self) -> list[str]:
        """The columns that say something of an image."""
        return [str(column) for column in self.rows if column not in (self.key, FRAME)]

    @property
    def axes(self) -> tuple[list[str], list[str]]:
        """The columns of coordinates along x and those along y, in pairs."""
        there = {*self.rows}
        known = [each for each in (*annotations(there).values(), CROP) if {*each.columns} <= there]
        names = [name for each in known if each.kind in ("box", "points") for name in each.columns]
        return names[::2], names[1::2]

    def lines(self, files: Sequence[Recorded], strict: bool) -> tuple[list[dict[int, int]], tuple[str, ...]]:
        """Of each file: frame -> line of its annotations; and what is left out, rows without a file and files without
        a row. Raises UserError listing rows that fit no frame, or two the same; strict: also what would be left out.
        """
        owners = self._owners(files)
        found, problems, absent = [dict[int, int]() for _ in files], list[str](), list[int]()
        for line, text in zip(self.rows.index.tolist(), self.rows[self.key], strict=True):
            owned = owners.get(_spelling(text), [])
            if len(owned) > 1:
                problems.append(f"line {line}: {len(owned)} files have this {self.key}; {_apart(self.key)}")
            elif owned:
                problems += self._entered(found[owned[0]], line, files[owned[0]])
            else:
                absent.append(line)
        if not any(found) and not problems:
            raise UserError(f"{self.path}: no row names one of the {len(files)} files, by column {self.key!r}")
        lacking = [file.label for file, lines in zip(files, found, strict=True) if not lines]
        out = list(self._left_out(absent, lacking, len(files)))
        if problems or (strict and out):
            raise UserError.listing(f"{self.path}: rows that fit no image", problems + out * strict)
        print(*(f"{self.path.name}: {text}" for text in out), sep="\n", end="\n" * bool(out))
        return found, tuple(f"annotations: {text}" for text in out)

    def _owners(self, files: Sequence[Recorded]) -> dict[str, list[int]]:
        """How a file may be named -> the positions of the files of that name; a path goes before a name alone."""
        owners: dict[str, list[int]] = {}
        for position, file in enumerate(files):
            owners.setdefault(file.uid if self.key == UID else Path(file.name).name, []).append(position)
        paths = {} if self.key == UID else {file.name: [position] for position, file in enumerate(files)}
        return {text: positions for text, positions in (owners | paths).items() if text}

    def _entered(self, lines: dict[int, int], line: int, file: Recorded) -> Iterator[str]:
        """Enter a row's line for the frames that it is about; yield what forbids it."""
        frames = (0,) if file.frames is None else file.frames
        told = self._cell(line, FRAME) if self.by_frame else ""
        if told:
            chosen = int(told) if told.isdecimal() and told.isascii() else -1
            if chosen < 0 or (file.frames is not None and chosen not in file.frames):
                count = "" if file.frames is None else f"; {file.label} has {len(file.frames)}"
                yield f"line {line}: {FRAME} = {told} is none, counted from 0{count}"
                return
            frames = (chosen,)
        elif len(frames) > 1 and (self.by_frame or any(self._cell(line, name) for axis in self.axes for name in axis)):
            yield f"line {line}: {file.label} has {len(frames)} frames; say in column {FRAME!r} which, from 0"
            return
        if repeated := {lines[frame] for frame in frames if lines.setdefault(frame, line) != line}:
            yield f"line {line}: is about the same frame as line {min(repeated)}; take one of them out"

    def _cell(self, line: int, column: str) -> str:
        return str(self.rows.loc[line, column]).strip()

    def _left_out(self, absent: list[int], lacking: list[str], count: int) -> Iterator[str]:
        if absent:
            yield f"{len(absent)} of {len(self.rows)} rows name no file that is there: lines {_listed(absent)}"
        if lacking:
            yield f"{len(lacking)} of {count} files have no row and are left out: {_listed(lacking)}"


def _spelling(text: str) -> str:
    return text.strip().replace("\\", "/").removeprefix("./")


def _apart(key: str) -> str:
    return "take all but one of them out" if key == UID else "write its path below the data's folder"


def _listed(found: Sequence[object]) -> str:
    return ", ".join(map(str, found[:SHOWN])) + f" and {len(found) - SHOWN} more" * (len(found) > SHOWN)
