"""The folder of an import: manifest.csv, masks, and pictures of what no picture file holds; checked before it is there.

Masks are numbered, so that no name of a patient is copied; picture files stay where they are. The grey value of each
structure is named in masks/labels.json.
"""

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from ushydra_lab.data import checks, inspection
from ushydra_lab.data.importers import rows
from ushydra_lab.data.importers.form import Annotated, Area, Request
from ushydra_lab.data.importers.order import Order, Placed, Problems, settled
from ushydra_lab.data.importers.problem import ExportProblem
from ushydra_lab.data.importers.registry import FORMATS
from ushydra_lab.data.io.convert import isotropic, pixel_mm
from ushydra_lab.data.readers import manifest_csv
from ushydra_lab.data.vocabulary import DECLARED, IMAGE, MASK, REQUIRED, SITE, SOURCE, SUBJECT
from ushydra_lab.errors import UserError
from ushydra_lab.files import disk_errors, write_csv, write_text

MANIFEST, MASKS, PICTURES, LEGEND = "manifest.csv", "masks", "images", "labels.json"
REMEDY = {SITE: "--set site=NAME", SUBJECT: "--pattern '{subject}_*.png'"}


@dataclass(frozen=True)
class Imported:
    """images: how many rows the manifest has; structures: name -> grey value in the masks."""

    manifest: Path
    images: int
    structures: dict[str, int]


def import_to(out: Path, export: str, request: Request) -> Imported:
    """Import an export, of a format of `registry`, into a new folder.

    Raises:
        UserError: the folder is there, or anything is wrong with the export, with all problems; nothing is written.
    """
    if out.exists():
        raise UserError(f"{out}: is there already, and nothing is overwritten; give a new folder with --out")
    placed, problems = _read(export, request)
    order, more = settled(placed, request)
    with disk_errors(out.parent, "choose another folder with --out"), _vanishing(out) as temporary:
        table, undrawn = _rows(placed, order, request, temporary)
        problems += more + undrawn
        problems += _checked(table, order, temporary) if table else []
        if told := list(dict.fromkeys(problems)):
            headline = f"{request.source}: {checks.counted([text for _, text in told])}"
            raise UserError.listing(headline, inspection.grouped(told))
        temporary.rename(out)
    return Imported(out / MANIFEST, len(table), order.greys)


@contextmanager
def _vanishing(out: Path) -> Iterator[Path]:
    """A new folder beside `out`, gone at the end unless it was renamed."""
    temporary = out.absolute().with_name(f".{out.name}.{secrets.token_hex(4)}")
    temporary.mkdir(parents=True)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _read(export: str, request: Request) -> tuple[list[Placed], Problems]:
    placed: list[Placed] = []
    problems: Problems = []
    try:
        for place, images in FORMATS[export](request):
            try:
                placed += [(place, image) for image in images()]
            except ExportProblem as problem:
                problems.append((place, str(problem)))
    except ExportProblem as problem:
        raise UserError(f"{request.source}: {problem}") from problem
    if not placed and not problems:
        raise UserError(f"{request.source}: holds no annotated image")
    for row in request.facts.shared(image.name for _, image in placed):
        problems.append(
            ("", f"the table (--table) has one row {row!r} for several images; write their folders before it")
        )
    return placed, problems


def _rows(placed: list[Placed], order: Order, request: Request, folder: Path) -> tuple[list[rows.Cells], Problems]:
    table: list[rows.Cells] = []
    problems: Problems = []
    for place, image in placed:
        row: rows.Cells = {SOURCE: place}
        before = len(problems)
        name = f"{len(table) + 1:05d}.png"
        for work in (partial(_cells, image, request), partial(_files, image, name, order, request, folder)):
            try:
                row |= work()
            except ExportProblem as problem:
                problems.append((place, str(problem)))
        if len(problems) == before:
            table.append(row)
    return table, problems


def _cells(image: Annotated, request: Request) -> rows.Cells:
    """What is stated, and what the export says. Raises ExportProblem: both say it, or neither whose image it is."""
    stated = request.facts.of(image.name)
    said = rows.cells(image, request.names) | ({"pixel_mm": pixel_mm(image.spacing)} if image.spacing else {})
    if twice := sorted(stated.keys() & said.keys()):
        raise ExportProblem(f"the export itself says {', '.join(twice)}; do not state it")
    if missing := [column for column in REMEDY if not stated.get(column)]:
        remedy = " and ".join(REMEDY[column] for column in missing)
        raise ExportProblem(f"no export knows {' and '.join(missing)}; state it: {remedy}, or in a table (--table)")
    return {**stated, **said}


def _files(image: Annotated, name: str, order: Order, request: Request, folder: Path) -> rows.Cells:
    """Write the mask, and the picture where it has no file; their columns. Raises ExportProblem."""
    spacing = image.spacing or (1.0, 1.0)
    shape = isotropic(np.zeros(image.size, np.uint8), spacing).shape
    cells: rows.Cells = dict(zip(DECLARED, map(float, shape[::-1]), strict=True))
    if any(isinstance(area, Area) and rows.named(area, request.names) for area in image.shapes):
        labels = rows.label_map(image, request.names, order.names, order.stated)
        greys = np.array([0, *order.greys.values()], np.uint8)[labels]
        cells[MASK] = _saved(isotropic(greys, spacing, labels=True), folder, MASKS, name)
    if isinstance(image.image, Path):
        cells[IMAGE] = str(image.image.resolve())
    else:
        cells[IMAGE] = _saved(isotropic(image.image(), spacing), folder, PICTURES, name)
    return cells


def _saved(pixels: NDArray[np.uint8], folder: Path, inner: str, name: str) -> str:
    (folder / inner).mkdir(exist_ok=True)
    Image.fromarray(pixels).save(folder / inner / name)
    return f"{inner}/{name}"


def _checked(rows_written: list[rows.Cells], order: Order, folder: Path) -> Problems:
    """Write the manifest, and check it as it will be read."""
    table = pd.DataFrame(rows_written)
    columns = [*REQUIRED, *(column for column in table if column not in (*REQUIRED, SOURCE))]
    write_csv(folder / MANIFEST, table[columns])
    greys = order.greys if MASK in table else None
    if greys:
        write_text(folder / MASKS / LEGEND, json.dumps(greys, indent=2) + "\n")
    source = manifest_csv.read(folder / MANIFEST, structures=greys)
    placed = source.table.assign(**{SOURCE: list(table[SOURCE])}).rename_axis(index="line of the manifest")
    examined = checks.examine(replace(source, table=placed))
    return [(checks.place(examined.table, row) if row >= 0 else "", text) for row, text in examined.problems]
