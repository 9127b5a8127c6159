"""How probable it is that a win printed in a table is none.

Christodoulou et al., "False Promises in Medical Imaging AI? Assessing Validity of Outperformance Claims",
arXiv 2505.04720 (2025). How alike two methods answer the same images ("model congruence"), which no table prints and
they estimate from other data, is an assumption here: three values are shown, from independent methods to very similar.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from scipy import special, stats

from ushydra_lab.claims.columns import Column
from ushydra_lab.claims.results import Results, Row

ALIKE = (0.0, 0.5, 0.9)
"""Correlations over images of two methods' scores, or of whether they are right."""
LOWER_IS_BETTER = frozenset({"hd", "hd95", "assd"})
LIMIT = 0.05
"""The probability above which the authors call a claim of a win unfounded."""


def of_means(winner: float, other: float, winner_sd: float, other_sd: float, n: int, correlation: float) -> float:
    """P(mean of the winner <= mean of the other), a posteriori: Student's t of n - 1 degrees of freedom.

    The difference of an image's two scores is taken as normal, with Jeffreys' prior of its mean and variance.
    """
    variance = winner_sd**2 + other_sd**2 - 2 * correlation * winner_sd * other_sd
    if variance <= 0:
        return 0.5 if winner == other else float(winner < other)
    return float(stats.t.cdf(math.sqrt(n / variance) * (other - winner), n - 1))


def of_accuracies(winner: float, other: float, n: int, correlation: float) -> float:
    """P(accuracy of the winner <= that of the other), a posteriori, with a uniform prior.

    Both right, only one right, only the other right and both wrong are Dirichlet distributed, the middle two
    Dirichlet(x + 1, y + 1, n - x - y + 2): their ratio is Beta(x + 1, y + 1). The share of images that both answer
    rightly follows from the correlation, as far as the accuracies allow it.
    """
    both = winner * other + correlation * math.sqrt(winner * (1 - winner) * other * (1 - other))
    both = min(max(both, winner + other - 1, 0.0), winner, other)
    return float(special.betainc(n * (winner - both) + 1, n * (other - both) + 1, 0.5))


@dataclass(frozen=True)
class Win:
    """probabilities: correlation -> the probability that the winner is not better."""

    table: str
    column: str
    winner: str
    other: str
    n: int
    probabilities: dict[float, float]

    @property
    def verdict(self) -> str:
        """Whether the win is founded, for any of these correlations, for some or for none."""
        low, high = min(self.probabilities.values()), max(self.probabilities.values())
        if low > LIMIT:
            return "not founded"
        return "founded" if high <= LIMIT else "founded only if the two methods answer much alike"

    def __str__(self) -> str:
        told = ", ".join(f"{chance:.2g} (correlation {r:g})" for r, chance in self.probabilities.items())
        return (
            f"{self.winner} over {self.other}: {self.table}; {self.column}, n = {self.n}: {self.verdict}\n"
            f"  probability that it is not better: {told}"
        )


def wins(table: Results) -> Iterator[Win]:
    """The best row of each metric and data set against the second best, where the table says n and what else is needed.

    Not where ± is over seeds or folds: the variation between images is not printed then.
    """
    by_data: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in table.rows:
        by_data[row.labels].append(row)
    for rows in by_data.values():
        for column in table.columns:
            scored = [row for row in rows if column in row.scores and row.n and row.n > 1]
            scored.sort(key=lambda row: row.scores[column].value, reverse=column.metric not in LOWER_IS_BETTER)
            if len(scored) > 1 and scored[0].method != scored[1].method and scored[0].n == scored[1].n:
                yield from _win(table, column, scored[0], scored[1])


def _win(table: Results, column: Column, best: Row, second: Row) -> Iterator[Win]:
    one, two, n = best.scores[column], second.scores[column], best.n or 0
    if column.metric == "accuracy" and not column.subject and one.spread is None and two.spread is None:
        chances = {r: of_accuracies(one.value, two.value, n, r) for r in ALIKE}
    elif one.spread is not None and two.spread is not None and not table.over_runs:
        sign = -1 if column.metric in LOWER_IS_BETTER else 1
        chances = {r: of_means(sign * one.value, sign * two.value, one.spread, two.spread, n, r) for r in ALIKE}
    else:
        return
    yield Win(table.name, column.title, best.name, second.name, n, chances)
