"""The columns that the main tables show, by their declaration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ushydra_lab.tasks.columns import Metric, declared_in, split_name


def known(columns: Iterable[str]) -> dict[str, Metric]:
    """The metrics among some columns, in the order of the tables."""
    found = declared_in(columns)
    return {name: _of(name, column.metric) for name, column in found if column.metric}


def _of(name: str, metric: Metric) -> Metric:
    """With the structure that a column is of in its label."""
    pair = split_name(name)
    return replace(metric, label=metric.label.replace("{}", pair[1])) if pair and pair[1] else metric


def in_px_of(name: str) -> str:
    """The column with the same length in px; '' for what is no length in mm."""
    pair = split_name(name)
    if not pair or not pair[0].in_px:
        return ""
    return f"{pair[0].in_px}_{pair[1]}" if pair[1] else pair[0].in_px
