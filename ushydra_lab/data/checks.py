"""Checks of a manifest and its files, reporting all problems at once."""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ushydra_lab.data import declared, geometry, schema, vocabulary
from ushydra_lab.data.inspection import InspectedFile, Observer, Problem, inspect, resolved
from ushydra_lab.data.io.files import exists
from ushydra_lab.data.source import Source
from ushydra_lab.data.vocabulary import (
    CROP,
    DATA_SET,
    DECLARED,
    DERIVED,
    IMAGE,
    KNOWN,
    PART,
    REQUIRED,
    SITE,
    SOURCE,
    SUBJECT,
    Annotation,
    annotations,
    nearest,
    number_columns,
)
from ushydra_lab.errors import UserError

MISSING = ("", "na", "nan", "n/a", "none", "null")


@dataclass(frozen=True, eq=False)
class Examined:
    """table: typed, the source's index, DERIVED columns filled in where readable; problems: what blocks its
    use; absent: positions that a partial data set lacks the file of, unusable: those whose file it leaves out; paths,
    masks: absolute, None where there is none; peaks: the largest value of 16-bit images, None of others.
    """

    table: pd.DataFrame
    problems: list[Problem]
    absent: list[int]
    unusable: list[Problem]
    paths: list[Path | None]
    masks: list[Path | None]
    peaks: list[int | None]

    @property
    def left_out(self) -> list[int]:
        """Positions of the rows that a partial data set goes without."""
        return sorted({*self.absent, *(row for row, _ in self.unusable)})


def examine(source: Source, observe: Observer | None = None) -> Examined:
    """Check a table and every file it names.

    Raises UserError where it is no table of images at all: no rows, columns missing or misspelt.
    """
    if problems := list(header(source)):
        raise UserError.listing(f"{source.name}: {counted(problems)}", [text for _, text in problems])
    if source.table.empty:
        raise UserError(f"{source.name}: no rows; a manifest has one row per image")
    table, problems = typed(source.table.drop(columns=list(DERIVED), errors="ignore"))
    sizes, unread = _declared(source.table)
    paths, escapes = resolved(table[IMAGE], source.root, IMAGE)
    masks, mask_escapes = resolved(table.get("mask", pd.Series("", table.index)), source.root, "mask")
    escaped = {position for position, _ in escapes + mask_escapes}
    partial, strict = (np.broadcast_to(which, len(table)) for which in (source.partial, source.strict))
    absent = [i for i, path in enumerate(paths) if partial[i] and path and i not in escaped and not exists(path)]
    barred = escaped | set(absent)
    usable = [None if position in barred else path for position, path in enumerate(paths)]
    found = inspect(usable, masks, source.masks, observe)
    files = [(i, each.problem) for i, each in enumerate(found) if each.problem]
    files += declared.problems(np.array([[each.width, each.height] for each in found]), sizes)
    whole = {i for i, each in enumerate(found) if each.sha256} - {i for i, _ in files}
    lenient = partial & ~strict if whole else np.zeros(len(table), bool)
    unusable = sorted((i, text) for i, text in files if lenient[i])
    found = [each if i in whole or not lenient[i] else InspectedFile() for i, each in enumerate(found)]
    derived = {column: [getattr(each, column) for each in found] for column in DERIVED}
    table = pd.concat([table, pd.DataFrame(derived, table.index)], axis=1)
    problems += [*unread, *escapes, *mask_escapes, *((i, text) for i, text in files if not lenient[i])]
    problems += [*schema.cells(table), *geometry.boxes(table), *geometry.points(table)]
    problems += [*repeats(table, usable), *groups(table)]
    gone = {*absent, *(i for i, _ in unusable)}
    kept = [problem for problem in problems if problem[0] not in gone]
    return Examined(table, sorted(kept), absent, unusable, paths, masks, [each.peak for each in found])


def counted(problems: list[Problem] | list[str]) -> str:
    return f"{len(problems)} problem{'s' * (len(problems) > 1)}"


def ignored(table: pd.DataFrame) -> list[str]:
    """Columns that are no words of the vocabulary: nothing reads them."""
    known = annotations(map(str, table.columns)).values()
    words = {*KNOWN, DATA_SET, *(column for annotation in known for column in annotation.columns)}
    words |= {*vocabulary.groups(table)}
    return [str(column) for column in table if column not in words]


def header(source: Source) -> Iterator[Problem]:
    """Required columns that are absent, unknown ones that look misspelt, incomplete annotations."""
    table, known = source.table, annotations(map(str, source.table.columns))
    unknown = ignored(table)
    for column in REQUIRED:
        if column not in table:
            yield -1, f"column {column!r} is missing{nearest(column, unknown)}; add or rename it"
    yield from ((-1, text) for text in amiss(table, known.values()))
    if "mask" in table and source.masks is None:
        yield -1, "column 'mask' needs the structures' colours, e.g. data.structures={csp: 1, lv: [0, 0, 255]}"


def amiss(table: pd.DataFrame, known: Iterable[Annotation], words: Iterable[str] = KNOWN) -> Iterator[str]:
    """Columns that look like a misspelt one of `words`, and those that these annotations, or a crop, lack."""
    absent_words = [word for word in words if word not in table]
    for column in ignored(table):
        if hint := nearest(column, absent_words, cutoff=0.75):
            yield f"column {column!r} is unknown{hint}; rename or remove it"
    for annotation in [*known, *([CROP] if {*CROP.columns} & {*table} else [])]:
        if absent := [column for column in annotation.columns if column not in table]:
            yield f"{annotation.name} needs {', '.join(annotation.columns)}; missing: {', '.join(absent)}"


def typed(table: pd.DataFrame) -> tuple[pd.DataFrame, list[Problem]]:
    """Text columns as text, number columns as float64, empty cells as '' or NaN; those not numbers."""
    table, problems = table.copy(), []
    known = [*annotations(table.columns).values(), CROP]
    words = [column for annotation in known if not annotation.numeric for column in annotation.columns]
    words += vocabulary.groups(table)
    for column in (column for column in (*REQUIRED, PART, SOURCE, *words) if column in table):
        table[column] = table[column].astype(object).where(table[column].notna(), "").map(str)
    if SITE in table:  # it names folders, which some systems decompose
        table[SITE] = table[SITE].map(lambda site: unicodedata.normalize("NFC", site))
    for column in (column for column in number_columns(table.columns) if column in table):
        table[column], bad = _numbers(table[column])
        problems += [(position, f"{column} = {text}") for position, text in bad]
    return table, problems


def _declared(table: pd.DataFrame) -> tuple[NDArray[np.float64], list[Problem]]:
    """(N, 2) of width and height as the table has them, NaN where it does not; those not numbers."""
    if not {*DECLARED} <= {*table}:
        return np.full((len(table), len(DECLARED)), np.nan), []
    columns = [_numbers(table[name]) for name in DECLARED]
    bad = [(row, f"{name} = {text}") for name, (_, found) in zip(DECLARED, columns, strict=True) for row, text in found]
    return np.stack([numbers.to_numpy(float) for numbers, _ in columns], axis=1), bad


def _numbers(cells: pd.Series) -> tuple[pd.Series, list[Problem]]:
    numbers = pd.to_numeric(cells, errors="coerce").astype(float).replace([np.inf, -np.inf], np.nan)
    given = cells.notna() & ~cells.map(lambda cell: str(cell).strip().lower() in MISSING)
    problems = []
    for position in np.flatnonzero(given & numbers.isna()):
        cell = cells.iloc[position]
        remedy = "write the decimal comma as a point" if "," in str(cell) else "leave it empty if unknown"
        problems.append((int(position), f"{str(cell)!r} is not a finite number; {remedy}"))
    return numbers, problems


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
