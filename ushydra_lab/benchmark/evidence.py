"""How far the lab's statistics can be trusted: false stars, power and coverage, by simulation."""

from __future__ import annotations

from collections.abc import Iterator

from ushydra_lab.benchmark.coverage import every
from ushydra_lab.benchmark.lab import Lab
from ushydra_lab.benchmark.null_tables import LAYOUTS, TAKEN, Tables, false_stars, found_effects, worst
from ushydra_lab.benchmark.rows import Row
from ushydra_lab.benchmark.timing import Quartiles

PART = "evidence"
SEEDS, ARMS, SEED_SDS, RESPONSES = (2, 3, 5, 10), (2, 6), (0.0, 0.1, 0.2, 0.5), (0.0, 1.0)
CASES = [(sd, response) for sd in SEED_SDS for response in RESPONSES]
MOST_FALSE, LEAST_COVERAGE = 6.0, 93.0
"""Per cent."""
TABLES, SMALL_TABLES, TRIALS = 4000, 1000, 1000
"""Of a cell whose level is measured; of a cell of the tests that were not taken; of a coverage."""


def rows(lab: Lab) -> Iterator[Row]:
    """Level, tests not taken, power, coverage. At the tiny scale a few tables, which only show that it runs."""
    tiny = lab.scale == "tiny"
    tables, small, trials = (250, 250, 20) if tiny else (TABLES, SMALL_TABLES, TRIALS)
    yield from level(tables)
    yield from robustness(small)
    yield from power(small)
    yield from coverage(trials)


def level(tables: int) -> Iterator[Row]:
    """Share of tables without any effect that have a star, per cent; of a cell, the larger of its two responses.

    And, in a row each, the worst cell of each of the other tests. One seed gives no p and so no star.
    """
    others: dict[str, float] = {}
    for arms in ARMS:
        for name, sites in LAYOUTS.items():
            yield _false(f"1 seed, control + {arms}, {name}: no p", 0.0)
            for seeds in SEEDS:
                found = false_stars(Tables(arms, seeds, sites), CASES, tables)
                for seed_sd in SEED_SDS:
                    cell = {case: by_test for case, by_test in found.items() if case[0] == seed_sd}
                    size = f"{seeds} seeds, control + {arms}, {name}, seed SD {seed_sd}"
                    yield _false(size, worst(cell, TAKEN))
                for test in next(iter(found.values())):
                    others[test] = max(others.get(test, 0.0), worst(found, test))
    for test, share in others.items():
        if test != TAKEN:
            yield _row(f"false stars, worst cell: {test}", "2 to 10 seeds", 100 * share)


def robustness(tables: int) -> Iterator[Row]:
    """Level where methods differ in how much seeds move them, and where a few images fail grossly."""
    cases = [(0.02, 0.0), (0.02, 1.0)]
    found: dict[str, float] = {}
    for seeds in SEEDS:
        for arms in ARMS:
            unstable = false_stars(Tables(arms, seeds, unstable=0.5), cases, tables, others=True)
            found = {name: max(worst(unstable, name), found.get(name, 0.0)) for name in unstable[cases[0]]}
        heavy = false_stars(Tables(2, seeds, heavy=True), CASES, tables)
        yield _false(f"{seeds} seeds, control + 2, gross failures, any seed SD", worst(heavy, TAKEN))
    for name, share in found.items():
        what = f"one unstable method: {name}"
        yield _false(what, share) if name == TAKEN else _row(f"false stars, {what}", "2 to 10 seeds", 100 * share)


def power(tables: int) -> Iterator[Row]:
    """Share of a true change's comparisons that have a star after Holm's adjustment, of control + 2 methods."""
    for seeds in SEEDS:
        for seed_sd, response in ((0.1, 1.0), (0.2, 0.0), (0.2, 1.0)):
            size = f"{seeds} seeds, their SD {seed_sd}, response {response:g}"
            found = found_effects(Tables(2, seeds, gain=1.0), (seed_sd, response), tables)
            for name, share in found.items():
                taken = " (taken)" if name == TAKEN else ""
                yield _row(f"power: {name}{taken}", size, 100 * share)


def coverage(trials: int) -> Iterator[Row]:
    """Coverage of every interval and, as a row of its own, its mean width."""
    for one in every(trials):
        yield _row(f"coverage: {one.what}", one.size, 100 * one.share, at_least=LEAST_COVERAGE)
        yield Row(PART, f"width: {one.what}", one.size, Quartiles.exact(one.width), "")


def _false(size: str, share: float) -> Row:
    return _row("tables with a false star", size, 100 * share, at_most=MOST_FALSE)


def _row(what: str, size: str, value: float, at_least: float | None = None, at_most: float | None = None) -> Row:
    return Row(PART, what, size, Quartiles.exact(value), "%", at_least=at_least, at_most=at_most)
