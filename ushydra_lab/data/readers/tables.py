"""Reading the tables of data sets: every cell is text, every row keeps its line number."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path

import pandas as pd

from ushydra_lab.data.io.files import files
from ushydra_lab.data.readers.sheets import read_sheet
from ushydra_lab.data.vocabulary import REQUIRED, nearest, number_columns
from ushydra_lab.errors import UserError

DECIMAL_COMMA = r"\s*[-+]?\d+,\d*(?:[eE][-+]?\d+)?\s*"


def read_table(
    path: str | PathLike[str], columns: Sequence[str] = (), separator: str = "", absent: str = "no such file"
) -> pd.DataFrame:
    """All columns as text; the index "line" counts the lines of the file (the header is line 1), empty ones left out.

    A CSV file of any spreadsheet program, or an Excel workbook (see `sheets`); separator: as declared in a first line
    `sep=;`, else of ',', ';', tab and '|' the header's most frequent, if not given. Where ';' separates, columns of
    numbers may have decimal commas. Runs of spaces in the header count as one; columns without a name and content are
    dropped.
    Raises UserError: no such file (`absent` says what to do), no table, lines that do not fit the header, repeated
    columns, or any of `columns` missing.
    """
    path = Path(path)
    sheet = read_sheet(path, absent, separator, columns or REQUIRED)
    (_, header), *rows = sheet.lines.items() if sheet.lines else [(1, [])]
    names = [_name(cell) for cell in header]
    kept = [
        i for i, name in enumerate(names) if name or any(cell.strip() for _, row in rows for cell in row[i : i + 1])
    ]
    width = kept[-1] + 1 if kept else 0
    excel = not sheet.separator
    remedy = "name all columns in the header" if excel else "quote cells that contain the separator"
    ragged = [
        f"line {line}: {len(row)} cells, the header has {len(names)}; {remedy}"
        for line, row in rows
        if any(cell.strip() for cell in row[len(names) :]) or (len(row) < width and not excel)
    ]
    named = {i: names[i] or f"(column {i + 1})" for i in kept}
    repeated = [f"column {name!r} occurs {n} times" for name, n in Counter(named.values()).items() if n > 1]
    if ragged and len(kept) == 1:
        title = header[kept[0]]
        raise UserError(f"{path}: its first line, {title!r}, is no header of several columns; delete titles above it")
    if repeated or ragged:
        raise UserError.listing(f"{path}: not a table", [*repeated, *ragged])
    unused = [name for name in named.values() if name not in columns]
    if missing := [f"{column!r}{nearest(column, unused)}" for column in columns if column not in named.values()]:
        raise UserError.listing(f"{path}: columns are missing; it has {', '.join(named.values()) or 'none'}", missing)
    cells = [[row[i] if i < len(row) else "" for i in kept] for _, row in rows]
    lines = pd.Index([line for line, _ in rows], name="line", dtype=int)
    table = pd.DataFrame(cells, columns=list(named.values()), index=lines, dtype=object)
    return _with_points(path, table) if sheet.separator == ";" else table


def _name(cell: str) -> str:
    """Of a column: without surplus spaces and characters that cannot be seen."""
    return " ".join("".join(c for c in cell if unicodedata.category(c) != "Cf").split())


def _with_points(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Decimal commas of number columns as points. Raises UserError where one column has both: is 1.024 a thousand?"""
    problems = []
    for column in (column for column in number_columns(table.columns) if column in table):
        cells = table[column]
        commas = cells.str.fullmatch(DECIMAL_COMMA)
        points = cells.str.contains(".", regex=False)
        if commas.any() and points.any():
            found = [f"{part.iloc[0]} in line {part.index[0]}" for part in (cells[commas], cells[points])]
            problems.append(f"column {column!r}: {' and '.join(found)}")
        table[column] = cells.mask(commas, cells.str.replace(",", "."))
    if problems:
        raise UserError.listing(f"{path}: decimal commas and points in one column; write all numbers alike", problems)
    return table


def file_names(path: Path, cells: pd.Series) -> pd.Series:
    """The cells without spaces around them. Raises UserError listing those that are no plain name of a file."""
    names: pd.Series = cells.fillna("").map(str).str.strip()
    plain = names.map(lambda name: name not in ("", ".", "..") and not {"/", "\\", "\0"} & set(name))
    if not plain.all():
        bad = [
            f"line {line}: {name!r} is not the name of a file; no folders belong there"
            for line, name in names[~plain].items()
        ]
        raise UserError.listing(f"{path}: column {cells.name!r}", bad)
    return names


def stacked(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """File name -> table, made one; a row's line is then "7 of FILE"."""
    named = [t.set_axis([f"{line} of {name}" for line in t.index]) for name, t in tables.items()]
    return pd.concat(named).rename_axis(index="line")


def of_one_unit(rows: pd.DataFrame, subject: str, unit: str) -> pd.Series:
    """Whether a row is of the unit (machine, plane) that has most rows of its subject; of equals the first by name.

    subject, unit: columns. Of such rows no subject is of two units, so that a unit can be held out.
    """
    counts = rows.groupby([subject, unit]).size().sort_index().sort_values(ascending=False, kind="stable")
    most = counts.reset_index().drop_duplicates(subject).set_index(subject)[unit]
    return rows[unit] == rows[subject].map(most)


def shift_coordinates(cells: pd.DataFrame, px: float) -> pd.DataFrame:
    """Coordinates plus `px`; what is no number stays as it is, for the check to name."""
    numbers = cells.apply(pd.to_numeric, errors="coerce")
    return (numbers + px).astype(object).where(numbers.notna(), cells)


def files_by_name(root: Path, suffixes: Iterable[str]) -> dict[str, list[Path]]:
    """Name -> files of that name anywhere under root, in order."""
    found: dict[str, list[Path]] = {}
    for path in files(root, *suffixes):
        if path.is_file():
            found.setdefault(path.name, []).append(path)
    return found


def digest(path: Path) -> str:
    """SHA-256 of the file's content, or the path of an unreadable file, so that it equals no other."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return str(path)
