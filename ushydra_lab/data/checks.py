"""What can be wrong with a manifest: (position of the row, or -1 for the table; what and the remedy)."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from ushydra_lab.data.image import ImageProblem, decode, in_threads, read_bytes
from ushydra_lab.data.vocabulary import (
    ANNOTATIONS,
    DERIVED,
    IMAGE,
    KNOWN,
    NUMERIC,
    PART,
    PARTS,
    REQUIRED,
    SITE,
    SUBJECT,
    Annotation,
    nearest,
)

Problem = tuple[int, str]

OVERHANG = 1.0  # px a box may stick out: tools disagree whether the last pixel's index or its edge ends a box
MISSING = ("", "na", "nan", "n/a", "none", "null")


def header(table: pd.DataFrame) -> Iterator[Problem]:
    """Required columns that are absent, unknown ones that look misspelt, incomplete annotations."""
    unknown = [str(column) for column in table if column not in KNOWN]
    for column in REQUIRED:
        if column not in table:
            yield -1, f"column {column!r} is missing{nearest(column, unknown)}; add or rename it"
    for column in unknown:
        if hint := nearest(column, [known for known in KNOWN if known not in table], cutoff=0.75):
            yield -1, f"column {column!r} is unknown{hint}; rename or remove it"
    for annotation in ANNOTATIONS.values():
        absent = [column for column in annotation.columns if column not in table]
        if 0 < len(absent) < len(annotation.columns):
            yield -1, f"{annotation.name} needs {', '.join(annotation.columns)}; missing: {', '.join(absent)}"


def typed(table: pd.DataFrame) -> tuple[pd.DataFrame, list[Problem]]:
    """Text columns as text, number columns as float64, empty cells as '' or NaN; those not numbers."""
    table, problems = table.copy(), []
    for column in (column for column in (*REQUIRED, PART) if column in table):
        table[column] = table[column].astype(object).where(table[column].notna(), "").map(str)
    for column in (column for column in NUMERIC if column in table):
        cells = table[column]
        numbers = pd.to_numeric(cells, errors="coerce").astype(float).replace([np.inf, -np.inf], np.nan)
        given = cells.notna() & ~cells.map(lambda cell: str(cell).strip().lower() in MISSING)
        for position in np.flatnonzero(given & numbers.isna()):
            cell = cells.iloc[position]
            comma = "; write the decimal comma as a point" if "," in str(cell) else "; leave it empty if unknown"
            problems.append((int(position), f"{column} = {str(cell)!r} is not a finite number{comma}"))
        table[column] = numbers
    return table, problems


def _schema() -> pa.DataFrameSchema:
    tight = pa.Check.str_matches(r"(?s)^\S(.*\S)?\Z", error="is empty or has spaces around it; every row needs a name")
    folder = pa.Check.str_matches(
        r"^\w[\w.+-]*\Z", error="must be letters, digits, '_', '-', '.' or '+': it names a folder of results"
    )
    part = pa.Check.isin(["", *PARTS], error=f"is not one of {', '.join(PARTS)}; leave it empty for an unused image")
    schema = {
        IMAGE: pa.Column(checks=tight),
        SITE: pa.Column(checks=folder),
        SUBJECT: pa.Column(checks=tight),
        PART: pa.Column(checks=part, required=False),
    }
    for annotation in ANNOTATIONS.values():
        if annotation.kind != "box":
            plausible = pa.Check.in_range(
                annotation.low,
                annotation.high,
                error=f"is not within {annotation.low:g} to {annotation.high:g} {annotation.unit}",
            )
            schema |= {c: pa.Column(float, plausible, nullable=True, required=False) for c in annotation.columns}
    return pa.DataFrameSchema(schema)


SCHEMA = _schema()


def cells(table: pd.DataFrame) -> Iterator[Problem]:
    """Every single cell against the schema."""
    try:
        SCHEMA.validate(table.reset_index(drop=True), lazy=True)
    except pa.errors.SchemaErrors as errors:
        for failure in errors.failure_cases.itertuples():
            hint = _unit_hint(failure.failure_case) if failure.column == "pixel_mm" else ""
            yield int(failure.index), f"{failure.column} = {failure.failure_case!r} {failure.check}{hint}"


def _unit_hint(spacing: float) -> str:
    low, high = ANNOTATIONS["pixel_mm"].low, ANNOTATIONS["pixel_mm"].high
    for value, unit in (
        (1 / spacing if spacing else 0, "px per mm"),
        (10 * spacing, "cm"),
        (1000 * spacing, "m"),
    ):
        if low <= value <= high:
            return f"; it looks like {unit}: {value:.4g} would be mm per px"
    return "; leave it empty if unknown"


def resolved(table: pd.DataFrame, root: Path) -> tuple[list[Path], list[Problem]]:
    """Absolute paths. A relative one must stay under root, also through links; an absolute one is meant."""
    root, paths, problems = Path(os.path.realpath(root)), [], []
    for position, text in enumerate(table[IMAGE]):
        path = root / text
        if os.sep == "/" and "\\" in text:
            problems.append((position, "has backslashes; write the folders of a path with '/'"))
        elif not Path(text).is_absolute() and not Path(os.path.realpath(path)).is_relative_to(root):
            problems.append((position, f"leads out of {root}; give the absolute path if that is meant"))
        paths.append(path)
    return paths, problems


def files(paths: list[Path], skip: set[int]) -> tuple[pd.DataFrame, list[Problem]]:
    """Every file decoded in full: columns height, width, sha256 (NaN, NaN, '' where failed or skipped)."""

    def inspect(position: int) -> tuple[float, float, str, bool, str]:
        if position in skip:
            return np.nan, np.nan, "", False, ""
        try:
            image = decode(read_bytes(paths[position]))
        except ImageProblem as problem:
            return np.nan, np.nan, "", False, str(problem)
        return *image.grey.shape, image.sha256, image.scaled, ""

    results = in_threads(inspect, range(len(paths)), "Checking images")
    found = pd.DataFrame(results, columns=[*DERIVED, "scaled", "problem"])
    if scaled := found.pop("scaled").sum():
        print(f"{scaled} images have 16 bits per pixel: read by their full range, 65535 as 255")
    problems = [(position, text) for position, text in enumerate(found.pop("problem")) if text]
    return found, problems


def boxes(table: pd.DataFrame) -> Iterator[Problem]:
    """Boxes that are incomplete, inverted or outside their image."""
    for annotation in ANNOTATIONS.values():
        if annotation.kind == "box" and set(annotation.columns) <= set(table):
            for position, row in enumerate(table[[*annotation.columns, "height", "width"]].to_numpy(float)):
                if text := _box_problem(row[:4], row[4:], annotation):
                    yield position, text


def _box_problem(box: np.ndarray, size: np.ndarray, annotation: Annotation) -> str:
    given = dict(zip(annotation.columns, box, strict=True))
    shown = ", ".join(f"{column}={value:g}" for column, value in given.items())
    if np.isnan(box).all():
        return ""
    if np.isnan(box).any():
        return f"{annotation.name} is incomplete ({shown}); give all four edges or none"
    if not (box[2:] > box[:2]).all():
        return f"{annotation.name} is inverted or empty ({shown}); x2 > x1 and y2 > y1 are needed"
    if np.isnan(size).any() or not (beyond := _beyond(given, box, size)):
        return ""
    swapped = box[[1, 0, 3, 2]]
    hint = "; it fits with x and y swapped: were rows and columns mixed up?"
    fits = not _beyond(given, swapped, size)
    return f"{annotation.name} leaves the image: {beyond}{hint if fits else '; correct the box or the image'}"


def _beyond(given: dict[str, float], box: np.ndarray, size: np.ndarray) -> str:
    """Which edges leave the image of `size` (rows, columns), and by how many px."""
    height, width = size
    excess = zip(given, (-box[0], -box[1], box[2] - width, box[3] - height), strict=True)
    over = [f"{column} by {px:g} px" for column, px in excess if px > OVERHANG]
    return f"{', '.join(over)} (image {width:g} x {height:g})" if over else ""


def repeats(table: pd.DataFrame, paths: list[Path]) -> Iterator[Problem]:
    """The same image in two rows: by its path, or by its content where two subjects have it."""
    known_path: dict[str, int] = {}
    known_content: dict[str, int] = {}
    subjects = list(zip(table[SITE], table[SUBJECT], strict=True))
    for position, (path, content) in enumerate(zip(paths, table["sha256"], strict=True)):
        if not content:
            continue
        first = known_path.setdefault(os.path.realpath(path), position)
        same = known_content.setdefault(content, position)
        if first != position:
            yield position, f"is the same image as {place(table, first)}; remove one of the two rows"
        elif subjects[same] != subjects[position]:
            text = f"has the same content as {place(table, same)} but another subject, so a split may leak it"
            yield position, f"{text}; remove one, or give both the same site and subject"


def groups(table: pd.DataFrame) -> Iterator[Problem]:
    """A subject in two official parts; sites that differ only by case."""
    if PART in table:
        used = table[table[PART] != ""]
        for (site, subject), parts in used.groupby([SITE, SUBJECT])[PART]:
            if parts.nunique() > 1:
                found = " and ".join(sorted(parts.unique()))
                yield (
                    -1,
                    f"subject {subject!r} of site {site!r} is in {found}; put all its images in one part",
                )
    folded = table.groupby(table[SITE].str.casefold())[SITE].unique()
    for sites in folded[folded.map(len) > 1]:
        yield -1, f"sites {', '.join(map(repr, sorted(sites)))} differ only by case; spell them alike"


def place(table: pd.DataFrame, position: int) -> str:
    """'line 7 (images/a.png)': where a row stands in its file."""
    return f"{table.index.name or 'row'} {table.index[position]} ({table[IMAGE].iloc[position]})"
