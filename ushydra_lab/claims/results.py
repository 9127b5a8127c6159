"""A results table with its numbers: which row is of which method and data set, and what each cell may have been."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ushydra_lab.claims import columns
from ushydra_lab.claims.columns import Column
from ushydra_lab.claims.grid import NUMBER_LIKE, Grid, transposed
from ushydra_lab.claims.numbers import Number, count, is_product, number

METHOD = re.compile(
    r"methods?|models?|networks?|approach(?:es)?|architectures?|variants?|algorithms?|backbones?|authors?"
)
DATASET = re.compile(
    r"data ?sets?|data|sites?|cent(?:er|re)s?|hospitals?|cohorts?|domains?|images|test sets?|source|images of"
)
PART = re.compile(r"structures?|class(?:es)?|organs?|regions?|labels?|planes?|categor(?:y|ies)|folds?|subsets?|groups?")
SPREAD_OVER_RUNS = re.compile(
    r"\b(?:over|across|of)\b[^.;]*\b(?:seeds?|runs?|folds?|trainings?|repetitions?|trials?)\b", re.I
)
HALF = 0.5 + 1e-6
"""Of the last digit's unit: how far a rounded number is from the exact one, with room for binary fractions."""


@dataclass(frozen=True)
class Score:
    """A number and the bounds between which the exact one was, shares as fractions of 1; scale: 0.01 for per cent."""

    text: str
    scale: float
    value: float
    low: float
    high: float
    step: float
    spread: float | None
    spread_low: float

    def shown(self, value: float) -> str:
        """Another value, written as this one is."""
        digits = max(0, round(-math.log10(self.step / self.scale)))
        return f"{value / self.scale:.{digits}f}"


@dataclass(frozen=True)
class Row:
    """method: its name; labels: what else tells rows apart, such as the data set; n: test images, where said.

    of_runs: n is seeds x images, so that ± is over seeds.
    """

    name: str
    method: str
    labels: tuple[str, ...]
    scores: dict[Column, Score]
    cells: tuple[str, ...]
    n: int | None
    of_runs: bool


@dataclass(frozen=True)
class Results:
    """label_places: columns of labels but the method's, whose titles are `labels`; places: all columns of labels.

    over_runs: ± is over seeds, runs or folds.
    """

    name: str
    rows: list[Row]
    columns: list[Column]
    header: tuple[str, ...]
    places: tuple[int, ...]
    label_places: tuple[int, ...]
    over_runs: bool

    @property
    def labels(self) -> tuple[str, ...]:
        """Titles of the columns that tell a method's rows apart."""
        return tuple(self.header[place] for place in self.label_places)

    def pairs(self, first: str, *others: str, same_unit: bool = False) -> Iterator[tuple[Column, ...]]:
        """Columns of these metrics of one subject."""
        for one in self.of(first):
            found = [[c for c in self.of(m) if c.subject == one.subject and (c.unit == one.unit or not same_unit)]
                     for m in others]  # fmt: skip
            if all(found):
                yield (one, *(candidates[0] for candidates in found))

    def of(self, *metrics: str) -> list[Column]:
        """The columns of metrics."""
        return [column for column in self.columns if column.metric in metrics]


def results(table: Grid, sizes: Mapping[str, int]) -> Results:
    """A table's numbers; metrics may stand in its columns or in its rows.

    sizes: label of rows -> their number of test images.
    """
    known = _columns(table)
    if not known and sum(columns.column(0, row[0]) is not None for row in table.rows) > len(table.rows) / 2:
        table = transposed(table)
        known = _columns(table)
    places = _label_places(table, {column.place for column in known})
    method = _method_place(table, places)
    others = tuple(place for place in places if place != method)
    in_percent = {column: _in_percent(table, column) for column in known}
    counted = _counted(table)
    rows = []
    for cells in table.rows:
        if any(columns.NO_ROW.fullmatch(columns.simplified(cells[p])) for p in places):
            continue
        labels = tuple(plain_label(cells[p]) for p in others)
        name = ", ".join(filter(None, (cells[p] for p in places))) or "(no name)"
        scores = {c: s for c in known if (s := _score(cells[c.place], in_percent[c])) is not None}
        own = plain_label(cells[method]) if method is not None else ""
        size = cells[counted] if counted is not None else ""
        n = _size_of({own, *labels}, sizes) or count(size) or _n_in(name, table.notes)
        rows.append(Row(name, own, labels, scores, cells, n, is_product(size)))
    over_runs = any(r.of_runs for r in rows) or bool(SPREAD_OVER_RUNS.search(" ".join((table.notes, *table.header))))
    return Results(table.name or "table", rows, known, table.header, tuple(places), others, over_runs)


def _method_place(table: Grid, places: list[int]) -> int | None:
    """The column of the methods: the one that says so, else the first of words, unless that is of data or parts."""
    titles = {place: columns.simplified(table.header[place]) for place in places}
    said = next((place for place, title in titles.items() if METHOD.fullmatch(title)), None)
    return (
        next((p for p in places[:1] if not (DATASET.fullmatch(titles[p]) or PART.fullmatch(titles[p]))), None)
        if said is None
        else said
    )


def plain_label(text: str) -> str:
    """For comparison: lower case, without (ours), references and marks."""
    text = re.sub(r"\(\s*(?:ours?|proposed|\d+|[^()]*et al[^()]*)\s*\)|\[[\d, –-]+\]|[*†‡§¶]", " ", text.lower())
    return " ".join(re.sub(r"[^\w+.%()-]+", " ", text).split())


def _size_of(labels: set[str], sizes: Mapping[str, int]) -> int | None:
    return next((size for name, size in sizes.items() if plain_label(name) in labels), None)


def _columns(table: Grid) -> list[Column]:
    found = [columns.column(place, title) for place, title in enumerate(table.header)]
    cells = list(zip(*table.rows, strict=True))
    changes = {c.place for c in found if c and any(cell.startswith("+") for cell in cells[c.place])}
    return [c for c in found if c and c.place not in changes and any(map(number, cells[c.place]))]


def _label_places(table: Grid, taken: set[int]) -> list[int]:
    """Columns of words that stand before the first column of numbers."""
    places = []
    for place in range(len(table.header)):
        cells = [row[place] for row in table.rows if row[place]]
        if place in taken or (cells and sum(bool(NUMBER_LIKE.match(cell)) for cell in cells) > len(cells) / 2):
            break
        places.append(place)
    return places or [0][: 0 in taken]


def _counted(table: Grid) -> int | None:
    """The column of the numbers of test images."""
    for place, title in enumerate(table.header):
        if columns.COUNTED.fullmatch(columns.simplified(title)) and any(count(row[place]) for row in table.rows):
            return place
    return None


def _n_in(*texts: str) -> int | None:
    """As 'African (n = 90)' says it."""
    for text in texts:
        if found := re.search(r"\bn\s*=\s*(\d[\d, ]*\d|\d)(?![\d.])", text, re.IGNORECASE):
            return count(found[1].strip(" ,"))
    return None


def _in_percent(table: Grid, column: Column) -> bool:
    """Whether a column is in per cent: it says so, or most of its numbers that are not 0 are above 1."""
    if math.isinf(columns.RANGES[column.metric][1]):
        return False
    found = [n for row in table.rows if (n := number(row[column.place]))]
    said = columns.is_percent(column.title) or any(n.percent for n in found)
    return said or statistics.median([abs(n.value) for n in found if n.value] or [0.0]) > 1


def _score(text: str, in_percent: bool) -> Score | None:
    found: Number | None = number(text)
    if found is None:
        return None
    scale = 0.01 if in_percent else 1.0
    value, step = scale * found.value, scale * found.step
    spread = None if found.spread is None else scale * found.spread
    least = 0.0 if spread is None else max(0.0, spread - HALF * scale * found.spread_step)
    return Score(found.text, scale, value, value - HALF * step, value + HALF * step, step, spread, least)
