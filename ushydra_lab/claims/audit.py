"""The audit of a file of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from ushydra_lab.claims.finding import Finding
from ushydra_lab.claims.read import grids
from ushydra_lab.claims.results import Results, plain_label, results
from ushydra_lab.claims.rules import binary, classes, copies, overlap, parts, single
from ushydra_lab.claims.wins import Win, wins
from ushydra_lab.errors import UserError

OF_TABLE: tuple[Callable[[Results], Iterator[Finding]], ...] = (
    single.of_range,
    single.accuracy_at_n,
    overlap.dice_and_iou,
    overlap.distances,
    classes.f1_bounds,
    binary.prevalence,
    parts.mixtures,
    parts.averages,
    parts.totals,
)
OF_FILE = (classes.recall_and_accuracy, copies.equal_rows)


def audit(path: str | Path, n: Mapping[str, int] | None = None) -> list[Finding]:
    """Numbers of a file's tables that contradict each other, with the reading that each contradiction depends on.

    n: label of rows, such as a data set's name -> its number of test images, where no column of the table says it.

    Raises:
        UserError: the file cannot be read or has no table, or a name in `n` is that of no row.
    """
    return contradictions(tables_of(path, n))


def false_wins(path: str | Path, n: Mapping[str, int] | None = None) -> list[Win]:
    """How probably the best method of each metric is not better than the second best, where tables say enough."""
    return [win for table in tables_of(path, n) for win in wins(table)]


def tables_of(path: str | Path, n: Mapping[str, int] | None = None) -> list[Results]:
    """The tables of a file, with their numbers."""
    sizes = dict(n or {})
    tables = grids(Path(path))
    labels = {plain_label(cell): cell for table in tables for row in table.rows for cell in row}
    if unknown := [name for name in sizes if plain_label(name) not in labels]:
        raise UserError.listing(
            f"{path}: no row is named so; write the name as the table does", [repr(name) for name in unknown]
        )
    if small := [f"{name}={size}" for name, size in sizes.items() if size < 1]:
        raise UserError.listing(f"{path}: numbers of test images must be at least 1", small)
    return [results(table, sizes) for table in tables]


def contradictions(tables: Iterable[Results]) -> list[Finding]:
    """Of tables that belong together."""
    tables = list(tables)
    found = [finding for table in tables for rule in OF_TABLE for finding in rule(table)]
    return found + [finding for rule in OF_FILE for finding in rule(tables)]


def told(findings: list[Finding], won: list[Win]) -> str:
    """What was found, in words."""
    lines = [*map(str, findings), f"{len(findings)} contradiction{'s' * (len(findings) != 1)}"]
    if won:
        lines += ["", "Probability that a win is false (Christodoulou et al., arXiv 2505.04720), if n counts the same",
                  "test images for both, and ± is the standard deviation over them:", *map(str, won)]  # fmt: skip
    return "\n".join(lines)
