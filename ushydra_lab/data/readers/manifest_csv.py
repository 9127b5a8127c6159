"""Your own images: a CSV file with one row per image (columns: see `vocabulary` and `manifest`)."""

import csv
import io
from collections import Counter
from os import PathLike
from pathlib import Path

import pandas as pd

from ushydra_lab.data.manifest import Manifest
from ushydra_lab.errors import UserError

NOT_TEXT = "is not UTF-8 text; save it as 'CSV UTF-8' in the spreadsheet"


def read(path: str | PathLike[str]) -> Manifest:
    """A checked manifest; image paths relative to the CSV file. UTF-8 with or without BOM, ',' or ';' or tab.

    Raises UserError listing every problem by its line.
    """
    path = Path(path)
    header, rows = _rows(path, _text(path))
    repeated = [f"column {name!r} occurs {n} times" for name, n in Counter(header).items() if n > 1]
    ragged = [
        f"line {line}: {len(row)} cells, the header has {len(header)}; quote cells that contain the separator"
        for line, row in rows.items()
        if len(row) != len(header)
    ]
    if repeated or ragged:
        raise UserError.listing(f"{path}: not a table", [*repeated, *ragged])
    table = pd.DataFrame(list(rows.values()), columns=header, index=pd.Index(rows, name="line"), dtype=object)
    return Manifest.checked(table, str(path), path.parent)


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such manifest; give the path of a CSV file (data.path=...)") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise UserError(f"{path}: {NOT_TEXT}") from None
    if "\0" in text:
        raise UserError(f"{path}: {NOT_TEXT}")
    return text


def _rows(path: Path, text: str) -> tuple[list[str], dict[int, list[str]]]:
    """The names of the columns, and line number -> cells without the empty lines."""
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [cell.strip() for cell in next(lines, [])]
        numbered = [(lines.line_num, row) for row in lines]
    except csv.Error as error:
        raise UserError(f"{path}: line {lines.line_num}: {error}; check the quotes") from error
    return header, {line: row for line, row in numbered if any(cell.strip() for cell in row)}
