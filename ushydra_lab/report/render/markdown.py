"""A report as GitHub Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from ushydra_lab.report.document import Block, Document, Figure, Gap, Heading, Note, Table, cells_of, on_one_line


def render(document: Document) -> str:
    """A report as Markdown: blocks separated by a blank line, consecutive gaps as one list."""
    return "\n\n".join(_chunks(document)) + "\n"


def _chunks(document: Document) -> Iterator[str]:
    for are_gaps, blocks in groupby(document, lambda block: isinstance(block, Gap)):
        texts = [text for block in blocks for text in _block(block)]
        yield from ["\n".join(texts)] if are_gaps else texts


def _block(block: Block) -> Iterator[str]:
    match block:
        case Heading():
            yield f"{'#' * block.level} {block.text}"
        case Table():
            yield _table(block)
        case Figure():
            yield f"![{block.title}](<{block.file.name}.png>)"
        case Note():
            yield block.text
        case Gap():
            yield f"- {block.sentence}" + (f"\n  `{block.command}`" if block.command else "")
    if isinstance(block, Table | Figure) and block.caption:
        yield block.caption


def _table(table: Table) -> str:
    header, *rows = ([_cell(cell) for cell in row] for row in cells_of(table))
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return on_one_line(text).replace("|", "\\|")
