"""What can be wrong with a manifest, all of it at once."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pandera.pandas as pa

from ushydra_lab.data import geometry
from ushydra_lab.data.files import there
from ushydra_lab.data.inspection import Observer, Problem, grouped, inspect, resolved
from ushydra_lab.data.vocabulary import (
    ANNOTATIONS,
    CROP,
    DERIVED,
    IMAGE,
    KNOWN,
    PART,
    PARTS,
    REQUIRED,
    SITE,
    SOURCE,
    SUBJECT,
    annotations,
    nearest,
    number_columns,
)
from ushydra_lab.errors import UserError

if TYPE_CHECKING:
    from ushydra_lab.data.manifest import Source

COMMON = {"pixel_mm": 0.1, "nt_mm": 1.5, "hc_mm": 200.0}  # of several readings of a number the nearest is named
MISSING = ("", "na", "nan", "n/a", "none", "null")


@dataclass(frozen=True, eq=False)
class Examined:
    """table: typed, the source's index, DERIVED columns filled in where readable; problems: what blocks its
    use; absent: positions that a partial data set lacks the file of; paths, masks: absolute, None where there is none;
    peaks: the largest value of 16-bit images, None of others.
    """

    table: pd.DataFrame
    problems: list[Problem]
    absent: list[int]
    paths: list[Path | None]
    masks: list[Path | None]
    peaks: list[int | None]


def examine(source: "Source", observe: Observer | None = None) -> Examined:
    """Check a table and every file it names.

    Raises UserError where it is no table of images at all: no rows, columns missing or misspelt.
    """
    if problems := list(header(source)):
        raise UserError.listing(f"{source.name}: {_count(problems)}", [text for _, text in problems])
    if source.table.empty:
        raise UserError(f"{source.name}: no rows; a manifest has one row per image")
    table, problems = typed(source.table.drop(columns=list(DERIVED), errors="ignore"))
    paths, escapes = resolved(table[IMAGE], source.root, IMAGE)
    masks, mask_escapes = resolved(table.get("mask", pd.Series("", table.index)), source.root, "mask")
    escaped = {position for position, _ in escapes + mask_escapes}
    absent = [i for i, path in enumerate(paths) if source.partial and path and i not in escaped and not there(path)]
    barred = escaped | set(absent)
    usable = [None if position in barred else path for position, path in enumerate(paths)]
    found = inspect(usable, masks, source.masks, observe)
    derived = {column: [getattr(each, column) for each in found] for column in DERIVED}
    table = pd.concat([table, pd.DataFrame(derived, table.index)], axis=1)
    problems += [*escapes, *mask_escapes, *((i, each.problem) for i, each in enumerate(found) if each.problem)]
    problems += [*cells(table), *geometry.boxes(table), *geometry.points(table)]
    problems += [*repeats(table, usable), *groups(table)]
    left_out = set(absent)
    kept = [problem for problem in problems if problem[0] not in left_out]
    return Examined(table, sorted(kept), absent, paths, masks, [each.peak for each in found])


def listing(name: str, found: Examined) -> UserError:
    """All problems with their places, those alike together."""
    lines = grouped([(place(found.table, row) if row >= 0 else "", text) for row, text in found.problems])
    return UserError.listing(f"{name}: {_count(found.problems)}", lines)


def no_image(source: "Source") -> UserError:
    """Of a partial data set without any of its files."""
    return UserError(f"{source.name}: holds no image that its table names; download them below {source.root}")


def located(found: Examined) -> list[str]:
    """What blocks training, each with its place."""
    return [text if row < 0 else f"{place(found.table, row)}: {text}" for row, text in found.problems]


def _count(problems: list[Problem] | list[str]) -> str:
    return f"{len(problems)} problem{'s' * (len(problems) > 1)}"


def ignored(table: pd.DataFrame) -> list[str]:
    """Columns that are no words of the vocabulary: nothing reads them."""
    known = annotations(map(str, table.columns)).values()
    words = {*KNOWN, *(column for annotation in known for column in annotation.columns)}
    return [str(column) for column in table if column not in words]


def header(source: "Source") -> Iterator[Problem]:
    """Required columns that are absent, unknown ones that look misspelt, incomplete annotations."""
    table, known = source.table, annotations(map(str, source.table.columns))
    unknown = ignored(table)
    for column in REQUIRED:
        if column not in table:
            yield -1, f"column {column!r} is missing{nearest(column, unknown)}; add or rename it"
    for column in unknown:
        if hint := nearest(column, [word for word in KNOWN if word not in table], cutoff=0.75):
            yield -1, f"column {column!r} is unknown{hint}; rename or remove it"
    for annotation in [*known.values(), *([CROP] if {*CROP.columns} & {*table} else [])]:
        absent = [column for column in annotation.columns if column not in table]
        if absent:
            yield -1, f"{annotation.name} needs {', '.join(annotation.columns)}; missing: {', '.join(absent)}"
    if "mask" in table and source.masks is None:
        yield -1, "column 'mask' needs the structures' colours, e.g. data.structures={csp: 1, lv: [0, 0, 255]}"


def typed(table: pd.DataFrame) -> tuple[pd.DataFrame, list[Problem]]:
    """Text columns as text, number columns as float64, empty cells as '' or NaN; those not numbers."""
    table, problems = table.copy(), []
    known = [*annotations(table.columns).values(), CROP]
    words = [column for annotation in known if not annotation.numeric for column in annotation.columns]
    for column in (column for column in (*REQUIRED, PART, SOURCE, *words) if column in table):
        table[column] = table[column].astype(object).where(table[column].notna(), "").map(str)
    if SITE in table:  # it names folders, which some systems decompose
        table[SITE] = table[SITE].map(lambda site: unicodedata.normalize("NFC", site))
    for column in (column for column in number_columns(table.columns) if column in table):
        table[column], bad = _numbers(table[column])
        problems += [(position, f"{column} = {text}") for position, text in bad]
    return table, problems


def _numbers(cells: pd.Series) -> tuple[pd.Series, list[Problem]]:
    numbers = pd.to_numeric(cells, errors="coerce").astype(float).replace([np.inf, -np.inf], np.nan)
    given = cells.notna() & ~cells.map(lambda cell: str(cell).strip().lower() in MISSING)
    problems = []
    for position in np.flatnonzero(given & numbers.isna()):
        cell = cells.iloc[position]
        remedy = "write the decimal comma as a point" if "," in str(cell) else "leave it empty if unknown"
        problems.append((int(position), f"{str(cell)!r} is not a finite number; {remedy}"))
    return numbers, problems


def _schema() -> pa.DataFrameSchema:
    tight = pa.Check.str_matches(r"(?s)^\S(.*\S)?\Z", error="is empty or has spaces around it; every row needs a name")
    text = pa.Check.str_matches(r"\A[^\ud800-\udfff]*\Z", error="is not UTF-8 text; rename the file or folder")
    folder = pa.Check.str_matches(
        r"^\w[\w.+-]*\Z", error="must be letters, digits, '_', '-', '.' or '+': it names a folder of results"
    )
    schema = {
        IMAGE: pa.Column(checks=[tight, text]),
        SITE: pa.Column(checks=folder),
        SUBJECT: pa.Column(checks=[tight, text]),
        PART: pa.Column(checks=_one_of(PARTS, "an unused image"), required=False),
    }
    for annotation in ANNOTATIONS.values():
        if annotation.kind == "category":
            level = _one_of(annotation.levels, f"an image without {annotation.name}")
            schema |= {c: pa.Column(checks=level, required=False) for c in annotation.columns}
        if annotation.kind in ("number", "spacing"):
            plausible = pa.Check.in_range(
                annotation.low,
                annotation.high,
                error=f"is not within {annotation.low:g} to {annotation.high:g} {annotation.unit}",
            )
            schema |= {c: pa.Column(float, plausible, nullable=True, required=False) for c in annotation.columns}
    return pa.DataFrameSchema(schema)


def _one_of(words: tuple[str, ...], empty_for: str) -> pa.Check:
    return pa.Check.isin(["", *words], error=f"is not one of {', '.join(words)}; leave it empty for {empty_for}")


SCHEMA = _schema()


def cells(table: pd.DataFrame) -> Iterator[Problem]:
    """Every single cell against the schema."""
    try:
        SCHEMA.validate(table.reset_index(drop=True), lazy=True)
    except pa.errors.SchemaErrors as errors:
        for failure in errors.failure_cases.itertuples():
            hint = _unit_hint(failure.column, failure.failure_case) if failure.column in COMMON else ""
            yield int(failure.index), f"{failure.column} = {failure.failure_case!r} {failure.check}{hint}"


def _unit_hint(name: str, given: float) -> str:
    known = ANNOTATIONS[name]
    readings = {"cm": 10 * given, "m": 1000 * given, "\N{MICRO SIGN}m": given / 1000}
    if known.kind == "spacing":
        readings = {"px per mm": 1 / given if given else 0, **readings}
    possible = {unit: value for unit, value in readings.items() if known.low <= value <= known.high}
    if not possible:
        return "; leave it empty if unknown"
    unit = min(possible, key=lambda unit: abs(np.log(possible[unit] / COMMON[name])))
    return f"; it looks like {unit}: {possible[unit]:.4g} would be {known.unit}"


def repeats(table: pd.DataFrame, paths: list[Path | None]) -> Iterator[Problem]:
    """The same image in two rows: by its path (and crop), or by its content where two subjects have it."""
    known_path: dict[tuple[object, ...], int] = {}
    known_content: dict[str, int] = {}
    subjects = list(zip(table[SITE], table[SUBJECT], strict=True))
    crops = table.reindex(columns=CROP.columns).fillna(-1).to_numpy(float).tolist()
    for position, (path, content) in enumerate(zip(paths, table["sha256"], strict=True)):
        if not content:
            continue
        first = known_path.setdefault((path, *crops[position]), position)
        same = known_content.setdefault(content, position)
        if first != position:
            yield position, f"is the same image as {place(table, first)}; remove one of the two rows"
        elif subjects[same] != subjects[position]:
            text = f"has the same content as {place(table, same)} but another subject, so a split may leak it"
            yield position, f"{text}; remove one, or give both the same site and subject"


def groups(table: pd.DataFrame) -> Iterator[Problem]:
    """A subject in two official parts; sites that differ only by case."""
    if PART in table:
        used = table.loc[table[PART] != "", [SITE, SUBJECT, PART]].drop_duplicates()
        shared = used[used.duplicated([SITE, SUBJECT], keep=False)]
        for (site, subject), parts in shared.groupby([SITE, SUBJECT])[PART]:
            found = " and ".join(sorted(parts))
            yield (
                -1,
                f"subject {subject!r} of site {site!r} is in {found}; put all its images in one part",
            )
    folded = table.groupby(table[SITE].str.casefold())[SITE].unique()
    for sites in folded[folded.map(len) > 1]:
        yield -1, f"sites {', '.join(map(repr, sorted(sites)))} differ only by case; spell them alike"


def place(table: pd.DataFrame, position: int) -> str:
    """'line 7 (images/a.png)': where a row stands in its file."""
    named = IMAGE if SOURCE not in table or not table[SOURCE].iloc[position] else SOURCE
    return f"{table.index.name or 'row'} {table.index[position]} ({table[named].iloc[position]})"
