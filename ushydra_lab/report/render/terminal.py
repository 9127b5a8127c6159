"""Printing a report, without its figures, on a terminal."""

from __future__ import annotations

import sys

import pandas as pd
import rich.table
from rich.console import Console
from rich.text import Text

from ushydra_lab.report.document import Block, Document, Figure, Gap, Heading, Note, Table, cells_of

WORDS = ("method", "comparison")
"""Columns of words, which stand on the left of their cells, as the first one does."""


def new_console() -> Console:
    """A console as wide as the terminal, or of 160 columns where the output goes elsewhere."""
    return Console(width=None if sys.stdout.isatty() else 160)


def show(console: Console, document: Document) -> None:
    """Print all blocks of a document but its figures."""
    for block in document:
        _show(console, block)


def _show(console: Console, block: Block) -> None:
    match block:
        case Heading():
            console.print(Text(block.text, style="bold underline" if block.level < 3 else "bold"))
        case Table():
            console.print(rich_table(block.frame, "", block.caption))
        case Note():
            console.print(Text(block.text))
        case Gap():
            console.print(Text(f"• {block.sentence}"))
            if block.command:
                console.print(Text(f"  {block.command}"), soft_wrap=True)
        case Figure():
            return
    console.print()


def rich_table(frame: pd.DataFrame, title: str, caption: str) -> rich.table.Table:
    """A rich table that shows texts verbatim: brackets in a name are not markup."""
    shown = rich.table.Table(
        title=Text(title) if title else None,
        caption=Text(caption) if caption else None,
        title_justify="left",
        caption_justify="left",
    )
    header, *rows = cells_of(Table(frame))
    for place, column in enumerate(header):
        shown.add_column(Text(column), justify="left" if column in WORDS or place == 0 else "right")
    for row in rows:
        shown.add_row(*map(Text, row))
    return shown
