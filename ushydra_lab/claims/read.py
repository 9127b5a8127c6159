"""The tables of a file: CSV, Markdown, LaTeX or HTML.

Own readers, since the usual ones (pandas.read_html, read_csv) make 64.5 of 64.50, whose last digit says how it was
rounded, and lxml would be a package more.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path

from ushydra_lab.claims import html, latex, markdown
from ushydra_lab.claims.grid import Grid, grid
from ushydra_lab.errors import UserError

MOST_BYTES = 100_000_000
DELIMITERS = ",;\t|"


def grids(path: Path) -> list[Grid]:
    """
    Raises:
        UserError: the file is missing, of another kind or damaged, or holds no table.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: a table to audit is a file of {', '.join(READERS)}; save it as one of these")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path}: larger than {MOST_BYTES // 10**6} MB; cut out its tables")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); name an existing file") from error
    tables = list(reader(text, path))
    if not tables:
        raise UserError(f"{path}: no table in it; a table needs a header and at least one row")
    return tables


def _csv(text: str, path: Path) -> Iterator[Grid]:
    """One table; the delimiter is the one that cuts most of the lines into as many cells as the first."""
    rows = max((_split(text, mark, path) for mark in DELIMITERS), key=_regularity)
    if len(rows) > 1:
        yield grid(path.stem, rows[:1], rows[1:])


def _split(text: str, delimiter: str, path: Path) -> list[list[str]]:
    try:
        rows = csv.reader(io.StringIO(text), delimiter=delimiter, strict=False)
        return [row for row in rows if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UserError(f"{path}: no CSV table ({error}); save it again as CSV") from error


def _regularity(rows: list[list[str]]) -> tuple[bool, float, int]:
    if not rows:
        return False, 0.0, 0
    width = len(rows[0])
    return width > 1, sum(len(row) == width for row in rows) / len(rows), width


READERS: dict[str, Callable[[str, Path], Iterator[Grid]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".md": lambda text, _: markdown.read(text),
    ".markdown": lambda text, _: markdown.read(text),
    ".txt": lambda text, _: markdown.read(text),
    ".tex": lambda text, _: latex.read(text),
    ".html": lambda text, _: html.read(text),
    ".htm": lambda text, _: html.read(text),
}
