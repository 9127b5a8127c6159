"""The files to predict: one file, a folder, or the rows of a CSV or Excel table; in the order of their paths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from ushydra_lab.data.io import volumes
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
VIDEOS = (".avi", ".mp4", ".mov", ".mkv", ".m4v", ".webm", ".mpg", ".mpeg", ".wmv")
DICOM = (".dcm", ".dicom", ".ima")
ENDINGS = (*SUFFIXES, *VIDEOS, *DICOM, *volumes.SUFFIXES)


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
        UserError: there is nothing to predict, or the table cannot be used.
    """
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
        raise UserError(f"{path}: nothing to predict in it; known are {', '.join(ENDINGS)} and DICOM files")
    spaced = [_with_spacing(item, pixel_mm) for item in found]
    return Input([replace(item, stem=stem) for item, stem in zip(spaced, _stems(spaced), strict=True)], ignored)


def kind_of(path: Path) -> Kind | None:
    """By the ending; a file without one, or with one of numbers, is a DICOM file if it begins as one."""
    name = path.name.lower()
    if name.endswith(volumes.SUFFIXES):
        return "volume"
    for endings, kind in ((SUFFIXES, "still"), (VIDEOS, "video"), (DICOM, "dicom")):
        if name.endswith(endings):
            return kind  # type: ignore[return-value]
    plain = not path.suffix or path.suffix[1:].replace(".", "").isdigit()
    return "dicom" if plain and path.is_file() and _begins_as_dicom(path) else None


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
    """The name without its ending; with it where another file has the same stem."""
    plain = [_stem(item.name) for item in items]
    counts, seen = Counter(plain), Counter[str]()
    for item, stem in zip(items, plain, strict=True):
        own = stem if counts[stem] == 1 else item.name.replace(".", "_")
        seen[own] += 1  # a table may name an image twice, with other crops
        yield own if seen[own] == 1 else f"{own}_{seen[own]}"


def _stem(name: str) -> str:
    ending = next((suffix for suffix in volumes.SUFFIXES if name.lower().endswith(suffix)), Path(name).suffix)
    return name.removesuffix(name[len(name) - len(ending) :]).replace("..", "__").lstrip("/")


def _with_spacing(item: Item, pixel_mm: float | None) -> Item:
    if pixel_mm is None or np.isfinite(item.pixel_mm):
        return item
    return replace(item, pixel_mm=pixel_mm, spacing_from="argument")


def _rows(path: Path) -> Iterator[Item]:
    """Of a table's lines. Raises UserError naming all cells that are no numbers, or no boxes."""
    table = read_table(path, ["image"], absent="no such table")
    known = [CROP, *(a for a in annotations_of(table.columns).values() if a.kind == "box"), ANNOTATIONS["pixel_mm"]]
    columns = [column for annotation in known for column in annotation.columns if column in table]
    numbers = table[columns].apply(pd.to_numeric, errors="coerce")
    wrong = [
        f"line {line}: {column} = {table.at[line, column]!r} is no number"
        for column in columns
        for line in table.index[numbers[column].isna() & (table[column].str.strip() != "")]
    ]
    cut = [column for column in columns if column != "pixel_mm"]
    wrong += [
        f"line {line}: {image}: a DICOM file has regions of its own, no crop and no box"
        for line, image in table["image"].items()
        if kind_of(path.parent / image) == "dicom" and numbers.loc[line, cut].notna().any()
    ]
    if wrong:
        raise UserError.listing(f"{path}: cells that cannot be used", wrong)
    for line, image in table["image"].items():
        cells = numbers.loc[line].to_dict()
        boxes = {a.name: box for a in known if a.kind == "box" and (box := _box(cells, a.columns))}
        file = spelt(path.parent / image.strip())
        mm = float(cells.get("pixel_mm", np.nan))
        told = "csv" if np.isfinite(mm) else "none"
        crop = boxes.pop(CROP.name, None)
        yield Item(file, image.strip(), "", kind_of(file) or "still", mm, told, crop, boxes)


def _box(cells: Mapping[str, float], columns: tuple[str, ...]) -> Box | None:
    x1, y1, x2, y2 = (float(cells.get(column, np.nan)) for column in columns)
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None
