"""Tables of a Markdown file or of a text with tables between bars."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from ushydra_lab.claims.grid import Grid, grid

BARS = re.compile(r"\s*\|.*|.*\|.*\|.*")
RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")
SENTENCE = 200
"""Letters beyond which a line is a paragraph and no table's name."""


def read(text: str) -> Iterator[Grid]:
    """Each table with the heading or the short line above it as its name, and the paragraph below it as its notes."""
    heading, above, pending = "", "", None
    for is_table, group in groupby(text.splitlines(), lambda line: bool(BARS.fullmatch(line))):
        lines = list(group)
        if is_table and (rule := next((i for i, line in enumerate(lines) if RULE.fullmatch(line)), None)):
            rows = [cells(line) for line in lines if not RULE.fullmatch(line)]
            pending = (above or heading, rows[:rule], rows[rule:])
            continue
        paragraphs = [line.strip() for line in lines if line.strip()]
        if pending:
            yield from _whole(*pending, notes=paragraphs[0] if paragraphs else "")
            pending, above = None, ""
        for line in paragraphs:
            if line.startswith("#"):
                heading, above = line.lstrip("# "), ""
            else:
                above = line if len(line) < SENTENCE and line.lower().startswith("tab") else ""
    if pending:
        yield from _whole(*pending, notes="")


def cells(line: str) -> list[str]:
    r"""Of a row, whose bars inside a cell are written \|."""
    inner = re.sub(r"(?<!\\)\|\s*$", "", re.sub(r"^\s*\|", "", line))
    return [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]


def _whole(name: str, header: list[list[str]], rows: list[list[str]], notes: str) -> Iterator[Grid]:
    if rows:
        yield grid(name, header, rows, f"{name} {notes}")
