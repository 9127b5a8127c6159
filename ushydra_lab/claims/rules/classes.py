"""Precision, recall, F1 and accuracy against each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from ushydra_lab.claims.columns import Column
from ushydra_lab.claims.finding import Finding
from ushydra_lab.claims.results import Results, Row, Score

NEAR = 1e-9
FINE = 2.5e-4
"""Printed digits that are fine enough for equal numbers not to be equal by chance: four of a fraction."""
ALIKE, ALIKE_SHARE = 3, 0.5
"""Rows of one data set, and their share, that have equal recall and accuracy where both are taken for the same."""
STEPS = 5
"""Last digits by which nearly balanced classes, whose macro recall is nearly the accuracy, may let them differ."""


def harmonic(one: float, other: float) -> float:
    """Harmonic mean."""
    return 2 * one * other / (one + other) if one + other > 0 else 0.0


def f1_bounds(table: Results) -> Iterator[Finding]:
    """F1 = 2PR / (P + R) of a class is concave in (P, R) and at least P + R - 1: so are means over classes and images.

    Hence P + R - 1 <= F1 <= 2PR / (P + R) <= (P + R) / 2 of means, with any weights that all three have.
    """
    for recalled in ("recall", "sensitivity"):
        for columns in table.pairs("f1", "precision", recalled):
            for row in table.rows:
                scores = [row.scores.get(column) for column in columns]
                yield from _f1(table, row, columns, *scores)


def _f1(
    table: Results, row: Row, columns: Sequence[Column], f1: Score | None, p: Score | None, r: Score | None
) -> Iterator[Finding]:
    if f1 is None or p is None or r is None:
        return
    most, least = harmonic(p.high, r.high), max(0.0, p.low + r.low - 1)
    if f1.low > most + NEAR or f1.high < least - NEAR:
        mean = "" if f1.low > (p.high + r.high) / 2 else " (though not their arithmetic mean)"
        printed = f"precision {p.text}, recall {r.text}, F1 {f1.text}"
        printed += f": above the harmonic mean of the first two{mean}" if f1.low > most else ": below P + R - 1"
        yield Finding(
            table.name, row.name, " and ".join(column.title for column in columns), "precision, recall and F1", printed,
            "the three are means over the same classes with the same weights (macro, weighted or one class)",
            f"F1 {f1.shown(least)} to {f1.shown(harmonic(p.value, r.value))}",
        )  # fmt: skip


def recall_and_accuracy(tables: Sequence[Results]) -> Iterator[Finding]:
    """Weighted recall is the accuracy; where most methods have it so on a data set, others cannot differ.

    Macro recall is the accuracy too where classes are equally frequent, but of a data set for every method alike.
    """
    by_data: dict[tuple[str, ...], list[tuple[Results, Row, Column, Column]]] = defaultdict(list)
    for table in tables:
        for recall, accuracy in table.pairs("recall", "accuracy"):
            for row in table.rows:
                if _fine(row.scores.get(recall)) and _fine(row.scores.get(accuracy)):
                    by_data[recall.subject, *row.labels].append((table, row, recall, accuracy))
    for rows in by_data.values():
        apart = [(r.scores[one].value - r.scores[two].value, r.scores[one].step) for _, r, one, two in rows]
        alike = {r.method for (_, r, *_), (gap, step) in zip(rows, apart, strict=True) if abs(gap) < step / 2}
        if len(alike) < ALIKE or len(alike) < ALIKE_SHARE * len({r.method for _, r, *_ in rows}):
            continue
        for (table, row, recall, accuracy), (gap, step) in zip(rows, apart, strict=True):
            if abs(gap) > STEPS * step:
                one, two = row.scores[recall], row.scores[accuracy]
                yield Finding(
                    table.name, row.name, f"{recall.title} and {accuracy.title}", "recall and accuracy",
                    f"recall {one.text}, accuracy {two.text}, while they are equal for {len(alike)} other methods",
                    "recall is weighted by class, as its equality with accuracy in the other rows says",
                    f"recall {two.text} or accuracy {one.text}",
                )  # fmt: skip


def _fine(score: Score | None) -> bool:
    return score is not None and score.step < FINE and 0 < score.value < 1
