"""Cells and tables of metrics, one row per method; `comparisons` compares methods."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import pandas as pd

from ushydra_lab.data.vocabulary import SEEN_TEST
from ushydra_lab.results.metrics import metrics_of, px_column
from ushydra_lab.results.statistics import spread
from ushydra_lab.tasks.columns import Metric

PART_TITLES = {
    "test": "unseen site",
    SEEN_TEST: "test images of the seen sites",
    "val": "validation images of the seen sites",
}
"""How the evaluated parts are described, in the order of the tables."""
NOT_RUN, NOTHING = "not run", "–"
"""Cells beside printed numbers: NOT_RUN where we have no number, NOTHING where the paper prints none."""


def parts_in(images: pd.DataFrame) -> dict[str, str]:
    """PART_TITLES without test images of the seen sites where a split draws none."""
    drawn = (images["part"] == SEEN_TEST).any()
    return {part: title for part, title in PART_TITLES.items() if drawn or part != SEEN_TEST}


def seen_part(images: pd.DataFrame) -> str:
    """The part that stands for the seen sites: their test images where the split draws some, else validation images."""
    return SEEN_TEST if (images["part"] == SEEN_TEST).any() else "val"


def metrics_in(images: pd.DataFrame) -> dict[str, Metric]:
    """The declared metrics that some image has; lengths in mm where every image has a spacing, else in px."""
    present = {name: metric for name, metric in metrics_of(images.columns).items() if images[name].notna().any()}
    px_of = {name: px_column(name) for name in present if px_column(name)}
    partly = {mm for mm, px in px_of.items() if px in present and (images[mm].isna() & images[px].notna()).any()}
    hidden = partly | {px for mm, px in px_of.items() if mm not in partly}
    return {name: metric for name, metric in present.items() if name not in hidden}


def methods_in(images: pd.DataFrame) -> list[str]:
    """Methods ordered by stage, and within a stage by first appearance."""
    return list(dict.fromkeys(images.sort_values("stage", kind="stable")["method"]))


def last_stage(images: pd.DataFrame) -> pd.DataFrame:
    """The images as the last stage answered them."""
    return images[images["stage"] == images["stage"].max()] if len(images) else images


def plural(number: int, what: str) -> str:
    """'1 image', '2 images'."""
    return f"{number} {what}{'s' * (number != 1)}"


def count_cell(images: pd.DataFrame, lacking: int = 0, planned: int = 0) -> str:
    """'3 x 20' for three seeds of 20 images each, with the number of planned runs that are missing."""
    if images.empty:
        return "0"
    count = images.groupby("seed")["record"].nunique()
    return f"{len(count)} x {count.max()}" + (f" ({lacking} of {planned} runs missing)" if lacking else "")


def range_cell(counts: pd.Series) -> str:
    """A count over runs: one number if all are equal, else '3 to 5'."""
    low, high = counts.min(), counts.max()
    return str(low) if low == high else f"{low} to {high}"


def values_table(images: pd.DataFrame) -> pd.DataFrame:
    """One row per method: mean ± SD over seeds of every metric, for the images of one part."""
    rows, metrics = [], metrics_in(images)
    for method in methods_in(images):
        chosen = images[images["method"] == method]
        rows.append({"method": method, **{m.title: spread_cell(chosen, name, m.digits) for name, m in metrics.items()}})
    return pd.DataFrame(rows)


def spread_cell(images: pd.DataFrame, metric: str, digits: int) -> str:
    """Mean ± SD over seeds of a metric's mean over images; n/a without images."""
    if images.empty:
        return "n/a"
    found = spread(images, metric)
    return mean_cell(found.mean, found.sd, digits)


def mean_cell(mean: float, sd: float, digits: int) -> str:
    """Mean ± SD; the mean alone where there is no SD, n/a where there is neither."""
    if np.isnan(mean):
        return "n/a"
    return f"{mean:.{digits}f}" if np.isnan(sd) else f"{mean:.{digits}f} ± {sd:.{digits}f}"


def with_printed(cells: dict[str, str], printed: Sequence[str] | None, whose: str = "paper") -> dict[str, str]:
    """Title -> our cell, each with the printed one next to it; – where nothing is printed."""
    pairs = zip(cells.items(), printed or (NOTHING,) * len(cells), strict=True)
    columns = (((name, ours), (f"{name.rstrip(' ↑↓')} {whose}", theirs)) for (name, ours), theirs in pairs)
    return dict(chain.from_iterable(columns))
