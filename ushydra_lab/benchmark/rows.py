"""Results of the benchmark: one row per measurement, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from ushydra_lab.benchmark.timing import Quartiles, ratio_quartiles


@dataclass(frozen=True)
class Row:
    """A measurement, perhaps beside a reference.

    ratio: of the two, in the words of `reads`; at_least, at_most: the aim for the ratio, or for the value where there
    is none.
    """

    part: str
    what: str
    size: str
    value: Quartiles
    unit: str
    against: str = ""
    other: Quartiles | None = None
    ratio: Quartiles | None = None
    reads: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the aim is reached; None without one."""
        found = (self.ratio or self.value).median
        if self.at_least is not None:
            return found >= self.at_least
        return None if self.at_most is None else found <= self.at_most

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"met": self.met}


def faster(
    part: str,
    what: str,
    size: str,
    ours: Sequence[float],
    against: str,
    theirs: Sequence[float],
    at_least: float | None = None,
) -> Row:
    """A row that says how many times as fast as a reference we are, from alternating times (s)."""
    both = Quartiles.of(ours), "s", against, Quartiles.of(theirs)
    return Row(part, what, size, *both, ratio_quartiles(theirs, ours), "x as fast", at_least=at_least)


def longer(
    part: str,
    what: str,
    size: str,
    ours: Sequence[float],
    against: str,
    theirs: Sequence[float],
    at_most: float | None = None,
) -> Row:
    """A row that says how many times as long as the necessary work we take, from alternating times (s)."""
    both = Quartiles.of(ours), "s", against, Quartiles.of(theirs)
    return Row(part, what, size, *both, ratio_quartiles(ours, theirs), "x as long", at_most=at_most)


def table(rows: Sequence[Row], title: str) -> Table:
    """The rows as a table: median and, in brackets, the quartiles."""
    shown = Table("what", "size", "", "against", "", "ratio", "aim", title=title, title_justify="left")
    for before, row in zip([None, *rows], rows, strict=False):
        if before is None or before.part != row.part:
            shown.add_section()
            shown.add_row(f"[bold]{row.part}[/bold]")
        ratio = f"{_spread(row.ratio)} {row.reads}" if row.ratio else ""
        cells = [row.what, row.size, _spread(row.value, row.unit), row.against]
        shown.add_row(*cells, _spread(row.other, row.unit) if row.other else "", ratio, _aim(row))
    return shown


def _spread(spread: Quartiles, unit: str = "") -> str:
    around = "" if spread.low == spread.high else f" ({_figure(spread.low)}-{_figure(spread.high)})"
    return f"{_figure(spread.median)}{around} {unit}".rstrip()


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _aim(row: Row) -> str:
    if row.met is None:
        return ""
    limit = f">= {row.at_least:g}" if row.at_least is not None else f"<= {row.at_most:g}"
    return f"{limit} {'met' if row.met else '[bold]missed[/bold]'}"
