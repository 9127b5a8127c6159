"""Rows of two methods that are equal to the last digit."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction

from ushydra_lab.claims.columns import SHARES, Column
from ushydra_lab.claims.finding import Finding
from ushydra_lab.claims.results import Results, Row, Score
from ushydra_lab.claims.rules.overlap import iou_of

BY_CHANCE = 0.01
"""Pairs of rows of a file that are expected to be equal by chance, below which equal rows are told."""
OF_COUNTS = frozenset(
    {"accuracy", "balanced accuracy", "precision", "recall", "sensitivity", "specificity", "npv", "f1"}
)
"""Metrics that are made of a few counts: together they tell hardly more than two of these."""
OF_IMAGES = ("accuracy", "prevalence", "specificity", "sensitivity")
"""Metrics that are shares of images, those of most images first."""
FEW = 60
"""Images that are few enough for two methods to have the same counts."""
COUNTS_TELL, FEW_TELL = 2.0, 0.5
"""What equal metrics of counts tell: two methods of 200 images each have both counts equal once in some 100 tables."""
NEAR_PERFECT = 0.95
"""Scores above which so few images are wrong that two methods' counts are easily the same."""
BOUND = 1.0
"""How much less IoU tells where Dice is known: it moves with it."""
LEAST_RANGE = 0.01
"""Of a score that few rows have: how far methods are taken to lie apart."""

Placed = tuple[Results, Row]


def equal_rows(tables: Sequence[Results]) -> Iterator[Finding]:
    """Rows of different methods on the same data, of one table or of tables with the same columns."""
    by_data: dict[tuple[object, ...], list[Placed]] = defaultdict(list)
    for number, table in enumerate(tables):
        titles = tuple(title for place, title in enumerate(table.header) if place not in table.places)
        for row in table.rows:
            labelled = bool(table.labels)  # without data sets, rows of two tables may be of different images
            by_data[(titles, table.labels, row.labels, -1 if labelled else number)].append((table, row))
    pairs: dict[frozenset[str], dict[tuple[str, ...], tuple[Placed, Placed, float]]] = defaultdict(dict)
    compared = 0
    for rows in by_data.values():
        compared += math.comb(len(rows), 2)
        for first, *others in _equal(rows):
            for other in others:
                if first[1].method != other[1].method and (told := _tells(first, rows)):
                    methods = frozenset((first[1].method, other[1].method))
                    pairs[methods].setdefault(other[1].labels, (first, other, told))
    for equal in pairs.values():
        if compared * 10 ** -sum(told for *_, told in equal.values()) < BY_CHANCE:
            yield from (_finding(one, other) for one, other, _ in equal.values())


def _equal(rows: Sequence[Placed]) -> Iterator[list[Placed]]:
    """Groups of rows with the same numbers, two scores of a known metric at least."""
    groups: dict[tuple[str, ...], list[Placed]] = defaultdict(list)
    for placed in rows:
        groups[_numbers(placed)].append(placed)
    return (group for group in groups.values() if len(group) > 1 and len(group[0][1].scores) > 1)


def _tells(placed: Placed, rows: Sequence[Placed]) -> float:
    """Decimal logarithm of the odds against another row's being equal to this one by chance."""
    few = _few_images(placed[1])
    by_kind: dict[str, float] = {}
    for column, score in placed[1].scores.items():
        if score.value in (0, 1) or column.metric == "prevalence":
            continue  # perfect is perfect, and the data are the same
        levels = _levels(column, score, rows)
        if column.metric in OF_COUNTS:
            most = FEW_TELL if few or score.value > NEAR_PERFECT else COUNTS_TELL
            by_kind["counts"] = max(by_kind.get("counts", 0.0), min(most, levels))
        elif column.metric in ("dice", "iou"):
            both = f"overlap {column.subject}"
            follows = any(_follows(s, score) for c, s in placed[1].scores.items() if c.subject == column.subject)
            more = 0.0 if follows else max(0.0, levels - BOUND)
            by_kind[both] = by_kind[both] + more if both in by_kind else levels
        else:
            by_kind[column.title] = min(1.0, levels) if few else levels
    return sum(by_kind.values())


def _numbers(placed: Placed) -> tuple[str, ...]:
    """All cells of a row but its labels, those of metrics that no rule knows, too."""
    table, row = placed
    return tuple(cell for place, cell in enumerate(row.cells) if place not in table.places)


def _levels(column: Column, score: Score, rows: Sequence[Placed]) -> float:
    """Decimal logarithm of how many printed numbers lie within the range of the methods' numbers on the same data."""
    values = [s.value for _, row in rows for c, s in row.scores.items() if c.title == column.title]
    apart = max(max(values) - min(values), LEAST_RANGE * (1 if column.metric in SHARES else abs(score.value)))
    return max(0.0, math.log10(apart / score.step))


def _follows(dice: Score, iou: Score) -> bool:
    """Whether the one is that of the other, as of one image or of all pixels, so that it tells nothing more."""
    exact = [iou_of(d.value) for d in (dice, iou)]
    return iou.low <= exact[0] <= iou.high or dice.low <= exact[1] <= dice.high


def _few_images(row: Row) -> bool:
    """Whether so few images were classified, or may have been, that equal counts are no surprise."""
    if row.n is not None:
        return row.n <= FEW
    by_metric = {column.metric: score for column, score in row.scores.items()}
    share = next((by_metric[metric] for metric in OF_IMAGES if metric in by_metric), None)
    return share is not None and share.low <= Fraction(share.value).limit_denominator(FEW) <= share.high


def _finding(one: Placed, other: Placed) -> Finding:
    (first, row), (second, copy) = one, other
    numbers = " ".join(score.text for score in copy.scores.values())
    where = row.name if first is second else f"{row.name} of {first.name}"
    return Finding(
        second.name, copy.name, ", ".join(c.title for c in copy.scores), "equal rows",
        f"{numbers}: digit by digit the row {where}",
        f"{row.method} and {copy.method} are two methods that were trained apart",
        "rows that differ somewhere",
    )  # fmt: skip
