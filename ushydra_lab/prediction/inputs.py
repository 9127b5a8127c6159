"""The files to predict: one file, a folder, or the rows of a CSV or Excel table; in the order of their paths."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from functools import cached_property
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from ushydra_lab.data.checks import amiss
from ushydra_lab.data.geometry import boxes as boxes_of
from ushydra_lab.data.io import videos, volumes
from ushydra_lab.data.io.dicom_tags import is_bare
from ushydra_lab.data.io.files import exists, files, spelt
from ushydra_lab.data.readers.images import SUFFIXES
from ushydra_lab.data.readers.tables import read_table
from ushydra_lab.data.vocabulary import ANNOTATIONS, CROP
from ushydra_lab.data.vocabulary import annotations as annotations_of
from ushydra_lab.errors import UserError
from ushydra_lab.prediction.frames import Box

Kind = Literal["still", "dicom", "volume", "video"]
TABLES = (".csv", ".xlsx")
DICOM = (".dcm", ".dicom", ".ima")
SPACING = ANNOTATIONS["pixel_mm"]
READ = [
    column for a in (SPACING, CROP, *ANNOTATIONS.values()) if a.kind == "box" or a is SPACING for column in a.columns
]
"""Columns that are read, beside `image` and further boxes; whatever else a table has is left alone."""
PART = re.compile(r"(_f\d{5,}|_r\d+)\Z")
"""How the names of results end that are of a file's frame or region (`frames.Frame.part`)."""
WRITTEN = re.compile(r"\.(jpg|png)/")
LONGEST = 200
"""Bytes of a name; file systems allow 255, of which half-written files and endings take some."""
ENDINGS = (*SUFFIXES, *videos.SUFFIXES, *DICOM, *volumes.SUFFIXES)


@dataclass(frozen=True)
class Item:
    """A file. name: its path below INPUT; stem: of its results, another for each; pixel_mm, crop, boxes: of the table,
    mm per px and px; spacing_from: who says the spacing.
    """

    path: Path
    name: str
    stem: str
    kind: Kind
    pixel_mm: float = np.nan
    spacing_from: str = "none"
    crop: Box | None = None
    boxes: Mapping[str, Box] = field(default_factory=dict)


@dataclass(frozen=True)
class Input:
    """items: what is predicted; ignored: files below a folder that are of no known kind, by their ending."""

    items: list[Item]
    ignored: Mapping[str, int]

    @property
    def unspaced(self) -> int:
        """How many files there are of which neither the user nor the file itself can tell the spacing."""
        return sum(item.kind in ("still", "video") and not np.isfinite(item.pixel_mm) for item in self.items)

    @cached_property
    def state(self) -> list[tuple[str, int, int, str]]:
        """What may not change while a prediction is continued: name, size, time of change, and what is known."""
        return [(item.name, *_size(item.path), f"{item.pixel_mm} {item.crop} {item.boxes}") for item in self.items]


def read_input(path: Path, match: str = "*", pixel_mm: float | None = None) -> Input:
    """The files that INPUT stands for.

    Args:
        path: a file, a folder, or a table with a column `image`, whose paths are relative to it.
        match: names of files, as *.png; of a folder.
        pixel_mm: mm per px of images of which neither table nor file tells it.

    Raises:
        UserError: there is nothing to predict, or the table or the spacing cannot be used.
    """
    if text := spacing_problem(pixel_mm):
        raise UserError(f"pixel_mm: {text}")
    path = spelt(path)
    if path.suffix.lower() in TABLES:
        found = list(_rows(path))
        ignored: Counter[str] = Counter()
    elif path.is_dir():
        below = [file for file in files(path) if fnmatch(file.name, match)]
        kinds = {file: kind for file in below if (kind := kind_of(file))}
        ignored = Counter(file.suffix.lower() or "(none)" for file in below if file not in kinds)
        found = [Item(file, file.relative_to(path).as_posix(), "", kind) for file, kind in kinds.items()]
    elif exists(path):
        ignored = Counter()
        found = [Item(path, path.name, "", kind_of(path) or "still")]
    else:
        raise UserError(f"{path}: no such file or folder; INPUT is an image, a video, a folder or a table of images")
    if not found:
        named = f" whose names match {match}" if path.is_dir() and match != "*" else ""
        raise UserError(f"{path}: nothing to predict in it{named}; known are {', '.join(ENDINGS)} and DICOM files")
    spaced = [_with_spacing(item, pixel_mm) for item in found]
    return Input([replace(item, stem=stem) for item, stem in zip(spaced, _stems(spaced), strict=True)], ignored)


def kind_of(path: Path) -> Kind | None:
    """By the ending; a file without one, or with one of numbers, is a DICOM file if it begins as one."""
    name = path.name.lower()
    if name.endswith(volumes.SUFFIXES):
        return "volume"
    for endings, kind in ((SUFFIXES, "still"), (videos.SUFFIXES, "video"), (DICOM, "dicom")):
        if name.endswith(endings):
            return kind  # type: ignore[return-value]
    plain = not path.suffix or path.suffix[1:].replace(".", "").isdigit()
    return "dicom" if plain and exists(path) and path.is_file() and _begins_as_dicom(path) else None


def _begins_as_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(132)
    return start[128:] == b"DICM" or is_bare(path)


def _size(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError:
        return -1, -1
    return state.st_size, state.st_mtime_ns


def _stems(items: list[Item]) -> Iterator[str]:
    """The name without its ending; with it where another file has the same stem, or could have it with its frames."""
    plain = [_stem(item.name) for item in items]
    counts, taken = Counter(plain), set[str]()
    for item, stem in zip(items, plain, strict=True):
        alone = counts[stem] == 1 and not PART.search(stem)
        own = stem if alone else _as_folders(item.name.replace(".", "_"))
        free = (f"{own}_{n}" if n > 1 else own for n in count(1))  # a table may name an image twice, with other crops
        stem = next(each for each in free if each not in taken)
        taken.add(stem)
        yield stem


def _stem(name: str) -> str:
    ending = next((suffix for suffix in volumes.SUFFIXES if name.lower().endswith(suffix)), Path(name).suffix)
    return _as_folders(name.removesuffix(name[len(name) - len(ending) :]).replace("..", "__"))


def _as_folders(stem: str) -> str:
    """With folders that have no name of a picture, as `a.jpg` beside `a.png`, and a name no file system refuses."""
    folder, slash, name = WRITTEN.sub(r"_\1/", stem).rpartition("/")
    if len(coded := os.fsencode(name)) > LONGEST:
        name = f"{os.fsdecode(coded[:LONGEST])}_{sha256(coded).hexdigest()[:8]}"
    return f"{folder}{slash}{name}"


def _with_spacing(item: Item, pixel_mm: float | None) -> Item:
    if pixel_mm is None or np.isfinite(item.pixel_mm):
        return item
    return replace(item, pixel_mm=pixel_mm, spacing_from="argument")


def _rows(path: Path) -> Iterator[Item]:
    """Of a table's lines. Raises UserError naming all cells that cannot be used."""
    table = read_table(path, ["image"], absent="no such table")
    table["image"] = table["image"].str.strip()
    boxes = [CROP, *(a for a in annotations_of(table.columns).values() if a.kind == "box")]
    columns = [column for annotation in (*boxes, SPACING) for column in annotation.columns]
    cells = table.reindex(columns=columns, fill_value="")
    numbers = cells.apply(pd.to_numeric, errors="coerce").astype(float)
    names = {line: _below(path.parent, str(table.at[line, "image"])) for line in table.index}
    found = [*_no_numbers(cells, numbers), *_no_places(path, table["image"], names, numbers.drop(columns="pixel_mm"))]
    unsized = numbers.assign(height=np.nan, width=np.nan)  # whether a box lies in its image is seen with the image
    found += [(table.index[row], text) for row, text in boxes_of(unsized)]
    listed = [*amiss(table, boxes[1:], READ), *(f"line {line}: {text}" for line, text in sorted(found))]
    if listed:
        raise UserError.listing(f"{path}: columns or cells that cannot be used", listed)
    for line, name in names.items():
        row = numbers.loc[line].to_dict()
        given = {a.name: box for a in boxes if np.isfinite(box := _box(row, a.columns)).all()}
        file, mm = spelt(path.parent / name), row["pixel_mm"]
        told = "csv" if np.isfinite(mm) else "none"
        crop = given.pop(CROP.name, None)
        yield Item(file, name, "", kind_of(file) or "still", mm, told, crop, given)


def _no_numbers(cells: pd.DataFrame, numbers: pd.DataFrame) -> Iterator[tuple[int, str]]:
    """Line and text of each cell that is no number, or no spacing."""
    for column in cells:
        for line in cells.index[(cells[column].str.strip() != "") & ~np.isfinite(numbers[column])]:
            yield line, f"{column} = {cells.at[line, column]!r} is no number"
    spacing = numbers["pixel_mm"].dropna()
    for line, mm in zip(spacing.index, spacing.tolist(), strict=True):
        if text := spacing_problem(mm):
            yield line, f"pixel_mm = {text}"


def _no_places(
    path: Path, images: pd.Series, names: Mapping[int, str], boxes: pd.DataFrame
) -> Iterator[tuple[int, str]]:
    """Line and text of each image that is none below the table, and of each DICOM file with a box."""
    for line, name in names.items():
        if not images[line]:
            yield line, "image is empty"
        elif not name:
            yield line, f"{images[line]} lies outside the table's folder; move the table above its images"
        elif kind_of(path.parent / name) == "dicom" and boxes.loc[line].notna().any():
            yield line, f"{name}: a DICOM file has regions of its own, no crop and no box"


def _below(top: Path, image: str) -> str:
    """The path below `top`, of an absolute one too; nothing where it leads elsewhere."""
    name = Path(os.path.relpath(top / image, top)).as_posix()
    return "" if name == ".." or name.startswith("../") else name


def spacing_problem(mm: float | None) -> str:
    """What is wrong with mm per px; nothing of a plausible one, or of none."""
    if mm is None or SPACING.low <= mm <= SPACING.high:
        return ""
    return f"{mm:g} is not within {SPACING.low:g} to {SPACING.high:g} mm per px"


def _box(cells: Mapping[str, float], columns: tuple[str, ...]) -> Box:
    x1, y1, x2, y2 = (cells[column] for column in columns)
    return x1, y1, x2, y2
