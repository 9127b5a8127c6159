"""Tables and folders as data sets ship them: every cell is text, every row knows its line."""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path

import pandas as pd

from ushydra_lab.data.vocabulary import nearest
from ushydra_lab.errors import UserError

NOT_TEXT = "is not UTF-8 text; save it as 'CSV UTF-8' in the spreadsheet"


def read_table(
    path: str | PathLike[str], columns: Sequence[str] = (), separator: str = "", absent: str = "no such file"
) -> pd.DataFrame:
    """All columns as text; the index "line" counts the lines of the file (the header is line 1), empty ones left out.

    UTF-8 with or without BOM, LF or CRLF; separator: of ',', ';' and tab the header's most frequent, if not given.
    Runs of spaces in the header count as one. Raises UserError: no such file (`absent` says what to do), not text,
    lines that do not fit the header, repeated columns, or any of `columns` missing.
    """
    path = Path(path)
    header, rows = _rows(path, _text(path, absent), separator)
    repeated = [f"column {name!r} occurs {n} times" for name, n in Counter(header).items() if n > 1]
    ragged = [
        f"line {line}: {len(row)} cells, the header has {len(header)}; quote cells that contain the separator"
        for line, row in rows.items()
        if len(row) != len(header)
    ]
    if repeated or ragged:
        raise UserError.listing(f"{path}: not a table", [*repeated, *ragged])
    unused = [name for name in header if name not in columns]
    if missing := [f"{column!r}{nearest(column, unused)}" for column in columns if column not in header]:
        raise UserError.listing(f"{path}: columns are missing; it has {', '.join(header) or 'none'}", missing)
    return pd.DataFrame(list(rows.values()), columns=header, index=pd.Index(rows, name="line", dtype=int), dtype=object)


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


def moved(cells: pd.DataFrame, px: float) -> pd.DataFrame:
    """Coordinates plus `px`; what is no number stays as it is, for the check to name."""
    numbers = cells.apply(pd.to_numeric, errors="coerce")
    return (numbers + px).astype(object).where(numbers.notna(), cells)


def files_by_name(root: Path, suffixes: Iterable[str]) -> dict[str, list[Path]]:
    """Name -> files of that name anywhere under root, in order."""
    found: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in suffixes and path.is_file():
            found.setdefault(path.name, []).append(path)
    return found


def digest(path: Path) -> str:
    """Of the file's content; of an unreadable one its path, since nothing is known to equal it."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return str(path)


def _text(path: Path, absent: str) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: {absent}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise UserError(f"{path}: {NOT_TEXT}") from None
    if "\0" in text:
        raise UserError(f"{path}: {NOT_TEXT}")
    return text


def _rows(path: Path, text: str, separator: str) -> tuple[list[str], dict[int, list[str]]]:
    """The names of the columns, and line number -> cells without the empty lines."""
    delimiter = separator or max(",;\t", key=text.partition("\n")[0].count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [" ".join(cell.split()) for cell in next(lines, [])]
        numbered = [(lines.line_num, row) for row in lines]
    except csv.Error as error:
        raise UserError(f"{path}: line {lines.line_num}: {error}; check the quotes") from error
    return header, {line: row for line, row in numbered if any(cell.strip() for cell in row)}
