"""The `Metric` of each column that has one, with its label for tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ushydra_lab.tasks.columns import Metric, declared_in, split_name


def metrics_of(columns: Iterable[str]) -> dict[str, Metric]:
    """Metric of each column that is declared as one, in the order of the tables."""
    found = declared_in(columns)
    return {name: _of(name, column.metric) for name, column in found if column.metric}


def _of(name: str, metric: Metric) -> Metric:
    """The metric with the column's structure, if it is of one, put into its label."""
    pair = split_name(name)
    return replace(metric, label=metric.label.replace("{}", pair[1])) if pair and pair[1] else metric


def px_column(name: str) -> str:
    """Name of the column with the same length in px; '' for a column that is no length in mm."""
    pair = split_name(name)
    if not pair or not pair[0].in_px:
        return ""
    return f"{pair[0].in_px}_{pair[1]}" if pair[1] else pair[0].in_px
