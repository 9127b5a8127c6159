"""Numbers of a whole against those of its parts: pooled test sets, averages and totals."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from ushydra_lab.claims import columns
from ushydra_lab.claims.columns import Column
from ushydra_lab.claims.finding import Finding
from ushydra_lab.claims.numbers import count, is_product
from ushydra_lab.claims.results import DATASET, Results, Row, plain_label

POOLED = re.compile(r"(?:the )?(?:mixture|mixed|pooled|combined|merged)(?: (?:data ?set|data|set|test set|sites))?")
AVERAGE = re.compile(r"(?:macro[- ]?)?(?:mean|average|avg\.?)(?: (?:of|over) .*)?")
WHOLE = re.compile(r"(?:overall|all|total|all (?:sites|data ?sets|images|centres|centers|hospitals))")
MEANS = ("accuracy", "dice", "iou", "nsd", "assd")
"""Metrics that of pooled images lie between those of its parts: shares and means over images."""
UNLIKE = re.compile(
    r"patient|subject|case|image|frame|video|scan|stud|female|male|cine|clip|pixel|\bage|annotat|size|spacing"
)
"""Words in titles of columns that count different things, of which a total is no sum."""
ADDED_UP = re.compile(r"(?:sum|total|all|overall)s?")


def mixtures(table: Results) -> Iterator[Finding]:
    """A pooled or averaged row of a method outside the range of its other rows."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for place, title in _part_columns(table):
        groups.clear()
        for row in table.rows:
            groups[row.method, *row.labels[:place], *row.labels[place + 1 :]].append(row)
        of_data = bool(DATASET.fullmatch(columns.simplified(title)))
        for rows in groups.values():
            for whole in rows:
                if metrics := _metrics_of(whole.labels[place], of_data):
                    parts = [r for r in rows if not _metrics_of(r.labels[place], of_data)]
                    names = ", ".join(part.cells[table.label_places[place]] for part in parts)
                    yield from _outside(table, whole, parts, names, metrics)


def _part_columns(table: Results) -> Iterator[tuple[int, str]]:
    return (
        (place, title) for place, title in enumerate(table.labels) if len({r.labels[place] for r in table.rows}) > 2
    )


def _metrics_of(label: str, of_data: bool) -> frozenset[str]:
    """Metrics for which a row of this name lies between the others; none where the name is that of a part."""
    if AVERAGE.fullmatch(label):
        return frozenset(columns.TITLES)
    if POOLED.fullmatch(label) or (of_data and WHOLE.fullmatch(label)):
        return frozenset(MEANS)
    return frozenset(("dice", "iou")) if WHOLE.fullmatch(label) else frozenset()


def _outside(
    table: Results, whole: Row, parts: Sequence[Row], names: str, metrics: frozenset[str]
) -> Iterator[Finding]:
    for column, score in whole.scores.items():
        scores = [p.scores[column] for p in parts if column in p.scores]
        if column.metric not in metrics or len(scores) < 2 or len(scores) < len(parts):
            continue
        if column.metric == "accuracy" and score.spread is not None:
            continue  # a mean over folds, whose sizes differ
        low, high = min(scores, key=lambda s: s.low), max(scores, key=lambda s: s.high)
        if not low.low <= score.high or not score.low <= high.high:
            yield Finding(
                table.name, whole.name, column.title, "whole and parts",
                f"{score.text}, while its parts ({names}) have {low.text} to {high.text}",
                "the row is the pooled test set, or a mean, of the method's other rows, not of unequal folds",
                f"{low.text} to {high.text}",
            )  # fmt: skip


def averages(table: Results) -> Iterator[Finding]:
    """A column that averages a metric over structures or classes, outside the range of the columns of these."""
    for metric in columns.TITLES:
        group = table.of(metric)
        for whole in (c for c in group if c.averaged and not c.subject):
            parts = [c for c in group if c.subject and not c.averaged and c.unit == whole.unit]
            for row in table.rows:
                yield from _average(table, row, whole, parts)


def _average(table: Results, row: Row, whole: Column, parts: Sequence[Column]) -> Iterator[Finding]:
    scores = [row.scores[c] for c in parts if c in row.scores]
    if whole not in row.scores or len(scores) < 2 or len(scores) < len(parts):
        return
    low, high, score = min(s.low for s in scores), max(s.high for s in scores), row.scores[whole]
    if score.high < low or score.low > high:
        names = ", ".join(c.title for c in parts)
        texts = f"{min(scores, key=lambda s: s.low).text} to {max(scores, key=lambda s: s.high).text}"
        yield Finding(
            table.name, row.name, whole.title, "whole and parts", f"{score.text}, while {names} have {texts}",
            f"{whole.title} is a mean of {names}", texts,
        )  # fmt: skip


def totals(table: Results) -> Iterator[Finding]:
    """Counts that do not add up to the total printed beside or below them."""
    counts = {place: [count(row.cells[place]) for row in table.rows] for place in _count_columns(table)}
    total = next((p for p in counts if columns.TOTAL.fullmatch(columns.simplified(table.header[p]))), None)
    parts = [place for place in counts if total is not None and place < total]
    if total is not None and len(parts) > 1 and not any(UNLIKE.search(table.header[p].lower()) for p in parts):
        names = " + ".join(table.header[place] for place in parts)
        for number, row in enumerate(table.rows):
            cells = [counts[place][number] for place in parts]
            yield from _total(table, row.name, names, table.header[total], cells, counts[total][number])
    if len(table.rows) > 2 and ADDED_UP.fullmatch(plain_label(table.rows[-1].cells[0])):
        for place, cells in counts.items():
            yield from _total(table, table.rows[-1].name, "the rows above", table.header[place], cells[:-1], cells[-1])


def _count_columns(table: Results) -> list[int]:
    """Columns of whole numbers of things, which name no metric."""
    scored = {column.place for column in table.columns}
    return [
        place
        for place in range(len(table.header))
        if place not in scored and place not in table.places
        if all(count(row.cells[place]) is not None and not is_product(row.cells[place]) for row in table.rows)
    ]


def _total(
    table: Results, row: str, names: str, column: str, parts: Sequence[int | None], total: int | None
) -> Iterator[Finding]:
    known = [part for part in parts if part is not None]
    if total is not None and len(known) == len(parts) and sum(known) != total:
        yield Finding(
            table.name, row, column, "total",
            f"{' + '.join(f'{part:,}' for part in known)} = {sum(known):,}, printed {total:,}",
            f"{column} is the sum of {names}", f"{sum(known):,}",
        )  # fmt: skip
