"""Sensitivity, specificity, accuracy and predictive values: one share of positive images must explain them all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ushydra_lab.claims.finding import Finding
from ushydra_lab.claims.results import Results, Row, Score

NEAR = 1e-9
AVERAGED = ("macro", "weighted", "micro", "class")
METRICS = ("accuracy", "precision", "npv", "prevalence")

Line = tuple[float, float]
"""(a, b) of a prevalence p for which a p + b >= 0 must hold."""


def prevalence(table: Results) -> Iterator[Finding]:
    """In a row, and in the rows of one data set, no prevalence gives all the printed numbers.

    accuracy = p sens + (1 - p) spec; precision : 1 - precision = p sens : (1 - p) (1 - spec); NPV alike.
    """
    shared: dict[tuple[str, ...], list[tuple[Row, float, float]]] = defaultdict(list)
    for row in table.rows:
        scores = _scores(table, row)
        if scores is None:
            continue
        low, high = _bounds([line for metric in METRICS for line in _lines(metric, scores)])
        if low > high + NEAR:
            yield _finding(table, row, scores, _consistent(scores))
        else:
            shared[row.labels].append((row, low, high))
    for rows in shared.values() if table.labels else ():
        largest, smallest = max(rows, key=lambda r: r[1]), min(rows, key=lambda r: r[2])
        if largest[1] > smallest[2] + NEAR:
            scores = _scores(table, largest[0]) or {}
            told = f"at most {smallest[2]:.3f} of the images are positive, as for {smallest[0].name}"
            yield _finding(table, largest[0], scores, told, ", and the rows are of the same images")


def _scores(table: Results, row: Row) -> dict[str, Score] | None:
    """Of the numbers for all images, none of them a mean over folds or seeds, for which the equations do not hold."""
    recalled = "sensitivity" if table.of("sensitivity") else "recall"
    found: dict[str, Score] = {}
    for column, score in row.scores.items():
        if score.spread is not None or any(word in column.subject for word in AVERAGED):
            return None
        if not column.subject:
            found["sensitivity" if column.metric == recalled else column.metric] = score
    return found if {"sensitivity", "specificity"} <= set(found) and set(found) & set(METRICS) else None


def _lines(metric: str, scores: dict[str, Score]) -> Iterator[Line]:
    """What a printed number demands of the prevalence, linear in it, with every number at its most lenient bound."""
    score, sens, spec = scores.get(metric), scores["sensitivity"], scores["specificity"]
    if score is None:
        return
    low, high = max(0.0, score.low), min(1.0, score.high)
    false_low, false_high = max(0.0, 1 - spec.high), min(1.0, 1 - spec.low)
    missed_low, missed_high = max(0.0, 1 - sens.high), min(1.0, 1 - sens.low)
    if metric == "accuracy":
        yield sens.high - spec.high, spec.high - low
        yield spec.low - sens.low, high - spec.low
    elif metric == "prevalence":
        yield from ((1.0, -low), (-1.0, high))
    elif metric == "precision":
        yield sens.high * (1 - low) + low * false_low, -low * false_low
        yield -sens.low * (1 - high) - high * false_high, high * false_high
    else:
        yield -spec.high * (1 - low) - low * missed_low, spec.high * (1 - low)
        yield spec.low * (1 - high) + high * missed_high, -spec.low * (1 - high)


def _bounds(lines: list[Line]) -> tuple[float, float]:
    """Least and largest prevalence that fulfils all lines; the first is larger than the second where none does."""
    low, high = 0.0, 1.0
    for slope, constant in lines:
        if slope > NEAR:
            low = max(low, -constant / slope)
        elif slope < -NEAR:
            high = min(high, -constant / slope)
        elif constant < -NEAR:
            return 1.0, 0.0
    return low, high


def _consistent(scores: dict[str, Score]) -> str:
    sens, spec, accuracy = scores["sensitivity"], scores["specificity"], scores.get("accuracy")
    least, most = sorted((sens.value, spec.value))
    if accuracy is not None and not least <= accuracy.value <= most:
        return f"accuracy {accuracy.shown(least)} to {accuracy.shown(most)}"
    return "numbers that follow from one share of positive images"


def _finding(table: Results, row: Row, scores: dict[str, Score], consistent: str, where: str = "") -> Finding:
    printed = ", ".join(f"{metric} {score.text}" for metric, score in scores.items())
    return Finding(
        table.name, row.name, ", ".join(scores), "prevalence",
        f"{printed}: no share of positive images gives all these",
        f"the task has two classes, and the numbers are those of one test, no means over folds{where}", consistent,
    )  # fmt: skip
