"""What an audit finds, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A contradiction between printed numbers.

    reading: what the numbers must mean for it to be one; consistent: which numbers would not contradict each other.
    """

    table: str
    row: str
    column: str
    rule: str
    printed: str
    reading: str
    consistent: str

    def __str__(self) -> str:
        place = f"{self.table}; {self.row}; {self.column}"
        return f"{self.rule}: {place}\n  {self.printed}\n  if {self.reading}\n  consistent: {self.consistent}"
