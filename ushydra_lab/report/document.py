"""The blocks of a report: headings, tables, figures, notes and gaps, which `render` draws in four formats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib.figure
import pandas as pd

from ushydra_lab.figures.style import save


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the report's title, 4 the deepest."""

    text: str
    level: int


@dataclass(frozen=True, eq=False)
class Table:
    """A table of texts and numbers; a line break in a cell is kept by formats that have them in tables."""

    frame: pd.DataFrame
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """A figure that has been written as FILE.png and FILE.pdf into the report's folder; file: without suffix."""

    file: Path
    title: str
    caption: str = ""


def save_figure(drawn: matplotlib.figure.Figure, file: Path, title: str, caption: str = "") -> Figure:
    """Write a drawing as FILE.png and FILE.pdf, and return the block that shows it."""
    save(drawn, file)
    return Figure(file, title, caption)


@dataclass(frozen=True)
class Note:
    """A paragraph of text."""

    text: str


@dataclass(frozen=True)
class Gap:
    """A result that the report lacks, why, and the command that makes it, as far as these are known.

    damage: the damaged files that it lacks it for, in words for the terminal alone, since they name paths.
    """

    what: str
    why: str = ""
    command: str = ""
    damage: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The missing result and the reason, as one sentence."""
        return f"{self.what}: {self.why}." if self.why else self.what


Block = Heading | Table | Figure | Note | Gap
Document = list[Block]


def cells_of(table: Table) -> list[list[str]]:
    """The header and the rows of a table, as texts of one line or more."""
    return [table.frame.columns.astype(str).tolist(), *table.frame.astype(str).values.tolist()]


def on_one_line(text: str) -> str:
    """The text of a cell, for formats without line breaks in tables."""
    return text.replace("\n", " ")
