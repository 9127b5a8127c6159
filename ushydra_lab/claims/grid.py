"""A table as texts, as it is printed: no number is read yet, since 64.50 says more than 64.5."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NUMBER_LIKE = re.compile(
    r"[-+−<>~≤≥]?\s*\.?\d[\d.,]*\s*(?:$|[±+%(\[*†‡§^/x×])|[-–—]+$|n/?a\.?$|not run$|nan$", re.IGNORECASE
)
"""Cells that stand where a number is meant."""

LONGEST_NAME = 120
"""Letters of a table's name in a finding."""


@dataclass(frozen=True)
class Grid:
    """name: heading or caption; notes: the text that stands with the table, such as its caption."""

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: str = ""


def grid(name: str, header_rows: Sequence[Sequence[str]], rows: Iterable[Sequence[str]], notes: str = "") -> Grid:
    """A rectangular table; several header rows become one, and labels that stand for several rows stand in each."""
    header_rows, body = _sections(header_rows, [list(row) for row in rows if any(cell.strip() for cell in row)])
    width = max(len(row) for row in (*header_rows, *body))
    columns = itertools.zip_longest(*(_padded(row, width) for row in header_rows), fillvalue="")
    header = tuple(" ".join(dict.fromkeys(filter(None, map(_clean, column)))) for column in columns)
    labels = _label_width(body)
    shifted = [_shifted([_clean(cell) for cell in row], labels, width) for row in body]
    return Grid(_short(_clean(name)), header, tuple(map(tuple, _filled(shifted, labels))), _clean(notes))


def transposed(table: Grid) -> Grid:
    """Rows as columns."""
    columns = list(zip(table.header, *table.rows, strict=True))
    return Grid(table.name, columns[0], tuple(columns[1:]), table.notes)


def _short(name: str) -> str:
    """The first sentence of a caption."""
    first = re.split(r"(?<=[a-z\d)])\. (?=[A-Z])", name)[0].rstrip(".")
    return first if len(first) <= LONGEST_NAME else f"{first[:LONGEST_NAME]}..."


def _sections(
    header: Sequence[Sequence[str]], rows: list[list[str]]
) -> tuple[Sequence[Sequence[str]], list[list[str]]]:
    """Lines that head the rows below them, as 'External test set' across all columns, become a label of these rows."""
    width = max((len(row) for row in rows), default=0)
    titles = [_title(row) if width > 2 else "" for row in rows]
    if not any(titles) or all(titles):
        return header, rows
    current, body = "", []
    for row, title in zip(rows, titles, strict=True):
        current = title or current
        body += [] if title else [[current or "(first)", *row]]
    return [["section", *row] for row in header], body


def _title(row: Sequence[str]) -> str:
    """The text of a line that has one text alone, in its first cell or across all; none where it is a number."""
    texts = {text for cell in row if (text := _clean(cell))}
    is_title = len(texts) == 1 and bool(row[0].strip()) and not NUMBER_LIKE.match(row[0].strip())
    return texts.pop() if is_title else ""


def _padded(row: Sequence[str], width: int) -> list[str]:
    return [*row, *[""] * (width - len(row))]


def _clean(text: str) -> str:
    """One line of text, without the marks of bold and code."""
    return " ".join(re.sub(r"\*\*|__|`", "", text).replace("\u00a0", " ").replace("\u2009", " ").split())


def _label_width(rows: list[list[str]]) -> int:
    """How many cells of a whole row stand before its first number."""
    return max((_leading_labels(row) for row in rows if any(map(NUMBER_LIKE.match, row))), default=0)


def _leading_labels(row: Sequence[str]) -> int:
    return sum(1 for _ in itertools.takewhile(lambda cell: not NUMBER_LIKE.match(cell.strip()), row))


def _shifted(row: list[str], labels: int, width: int) -> list[str]:
    """A row below a label that spans several rows, which some writers leave out instead of leaving it empty."""
    missing = labels - _leading_labels(row)
    written = len(row) - sum(1 for _ in itertools.takewhile(lambda cell: not cell, reversed(row)))
    if 0 < missing < labels and written + missing <= width:
        row = [*[""] * missing, *row[:written]]
    return _padded(row, width)


def _filled(rows: list[list[str]], labels: int) -> list[list[str]]:
    """An empty first label is the one above it, if another label follows."""
    above = [""] * labels
    for row in rows:
        for place in range(labels - 1):
            if not row[place] and any(row[place + 1 : labels]):
                row[place] = above[place]
        above = row[:labels]
    return rows
