"""Tables of an HTML page, read with the standard library; nothing in the page is run or fetched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

from ushydra_lab.claims.grid import Grid, grid

HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
UNREAD = {"script", "style", "sup", "template"}
MOST_SPAN = 100
"""Columns or rows that a cell is taken to span at most, whatever the page says."""
MOST_NOTES = 2000
"""Letters of the text below a table that are read for what it says of the table."""


@dataclass
class _Cell:
    text: str
    is_header: bool
    columns: int
    rows: int


@dataclass
class _Table:
    name: str
    caption: str = ""
    below: str = ""
    rows: list[list[_Cell]] = field(default_factory=list)


class _Page(HTMLParser):
    """Collects the tables of a page; texts of cells, headings and captions, and the text below a table."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[_Table] = []
        self.open: list[_Table] = []
        self.heading = ""
        self.inside = ""
        self.unread = 0
        self.above: _Table | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in UNREAD:
            self.unread += 1
        elif tag in HEADINGS:
            self.heading, self.inside, self.above = "", "heading", None
        elif tag == "table":
            self.above = None
            self.open.append(_Table(self.heading))
            self.tables.append(self.open[-1])
        elif self.open and tag == "tr":
            self.open[-1].rows.append([])
        elif self.open and tag in ("td", "th") and self.open[-1].rows:
            spans = {name: _span(value) for name, value in attrs}
            cell = _Cell("", tag == "th", spans.get("colspan", 1), spans.get("rowspan", 1))
            self.open[-1].rows[-1].append(cell)
            self.inside = "cell"
        elif self.open and tag == "caption":
            self.inside = "caption"
        elif tag == "br":
            self.handle_data(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in UNREAD:
            self.unread = max(0, self.unread - 1)
        elif tag == "table" and self.open:
            self.above = self.open.pop()
        elif tag in HEADINGS | {"td", "th", "caption"}:
            self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.unread:
            return
        if self.inside == "heading":
            self.heading += data
        elif self.inside == "caption" and self.open:
            self.open[-1].caption += data
        elif self.inside == "cell" and self.open and self.open[-1].rows and self.open[-1].rows[-1]:
            self.open[-1].rows[-1][-1].text += data
        elif self.above and len(self.above.below) < MOST_NOTES:
            self.above.below += data


def read(text: str) -> Iterator[Grid]:
    """Each table with the heading above it as its name."""
    page = _Page()
    page.feed(text)
    page.close()
    for table in page.tables:
        rows = [row for row in table.rows if row]
        heads = next((i for i, row in enumerate(rows) if not all(cell.is_header for cell in row)), len(rows))
        heads = heads or 1
        texts = _spread(rows)
        if texts[heads:]:
            name = f"{table.name}: {table.caption}" if table.name and table.caption else table.name or table.caption
            yield grid(name, texts[:heads], texts[heads:], f"{name} {table.below}")


def _span(value: str | None) -> int:
    return min(MOST_SPAN, max(1, int(value))) if value and value.isascii() and value.isdigit() else 1


def _spread(rows: list[list[_Cell]]) -> list[list[str]]:
    """Texts of a rectangular table, where a cell that spans several has its text in each."""
    texts: list[list[str]] = []
    below: dict[tuple[int, int], str] = {}
    for number, row in enumerate(rows):
        line: list[str] = []
        for cell in row:
            while (number, len(line)) in below:
                line.append(below[number, len(line)])
            for _ in range(cell.columns):
                below |= {(number + down, len(line)): cell.text for down in range(1, cell.rows)}
                line.append(cell.text)
        while (number, len(line)) in below:
            line.append(below[number, len(line)])
        texts.append(line)
    return texts
