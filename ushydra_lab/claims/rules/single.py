"""What one number cannot be: outside its metric's range, too widely spread, impossible with so many images."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ushydra_lab.claims.columns import RANGES, Column
from ushydra_lab.claims.finding import Finding
from ushydra_lab.claims.results import Results, Row, Score

COUNTED = ("", "overall", "total", "top-1", "test")
"""Of an accuracy's title, what leaves it a share of images."""


def of_range(table: Results) -> Iterator[Finding]:
    """Means outside the metric's range, and standard deviations larger than any values in that range have."""
    for row in table.rows:
        for column, score in row.scores.items():
            low, high = RANGES[column.metric]
            if score.high < low or score.low > high:
                yield Finding(
                    table.name, row.name, column.title, "range", f"{score.text} is outside the metric's range",
                    f"{column.title} is {column.metric}, in {'per cent' if score.scale < 1 else 'the unit printed'}",
                    f"{score.shown(low)} to {'any length' if math.isinf(high) else score.shown(high)}",
                )  # fmt: skip
            elif score.spread is not None and not math.isinf(high):
                yield from _spread(table, row, column, score)


def _spread(table: Results, row: Row, column: Column, score: Score) -> Iterator[Finding]:
    """Bhatia and Davis (2000): the variance of values in [low, high] with mean m is at most (m - low) (high - m).

    With n - 1 in the denominator it is n / (n - 1) times as large, twice for the two values that are the fewest.
    """
    low, high = RANGES[column.metric]
    n = row.n if row.n and row.n > 1 and not table.over_runs else 2
    middle = min(max((low + high) / 2, score.low), score.high)
    most = math.sqrt(max(0.0, (middle - low) * (high - middle)) * n / (n - 1))
    if score.spread_low > most + 1e-9:
        yield Finding(
            table.name, row.name, column.title, "standard deviation",
            f"{score.text}: no values within the metric's range have this mean and this standard deviation",
            f"the number behind the mean is the standard deviation of {n if n > 2 else 'two or more'} values",
            f"at most {score.shown(most)}",
        )  # fmt: skip


def accuracy_at_n(table: Results) -> Iterator[Finding]:
    """GRIM (Brown and Heathers 2017): a share of n images is a whole number of them divided by n."""
    for column in table.of("accuracy"):
        for row in table.rows:
            score = row.scores.get(column)
            if score is None or not row.n or column.subject not in COUNTED:
                continue
            right = score.value * row.n
            near = sorted({math.floor(right), math.ceil(right)})
            is_of_images = score.spread is None or row.of_runs  # not a mean over folds of unequal sizes
            if is_of_images and not any(score.low <= k / row.n <= score.high for k in near):
                yield Finding(
                    table.name, row.name, column.title, "possible at n",
                    f"{score.text} would be {right:.2f} of {row.n} images",
                    f"n = {row.n} counts the images tested, and the accuracy is the share of them that is right",
                    " or ".join(f"{score.shown(k / row.n)} ({k} of {row.n})" for k in near),
                )  # fmt: skip
