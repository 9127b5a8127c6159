"""Subgroups of the unseen images by every column `group_NAME` of the manifest, and whether methods differ by them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ushydra_lab.data.vocabulary import GROUP, groups
from ushydra_lab.files import write_csv
from ushydra_lab.report.comparisons import pairs
from ushydra_lab.report.document import Block, Document, Heading, Note, Table
from ushydra_lab.report.tables import count_cell, methods_in, metrics_in, plural, spread_cell
from ushydra_lab.results.family import holm
from ushydra_lab.results.subgroups import FEWEST, grouped, interaction
from ushydra_lab.tasks.columns import Metric

CAPTION = (
    "Unseen images of each group: mean ± SD over seeds (ddof 1). Images: seeds x images of a seed, and of how many "
    f"subjects. Numbers are in tertiles of the images. Groups of fewer than {FEWEST} subjects are shown as one, or not "
    "at all if that has fewer too."
)
INTERACTION_CAPTION = (
    "How the change from the method named last differs in a group from that in all other images shown: the one "
    "difference of means minus the other, in the metric's unit, with its 95 % interval; seeds crossed with subjects. "
    "* p < 0.05 after Holm's adjustment over this table. Not planned beforehand, it raises a question and answers none."
)


def section(images: pd.DataFrame, file: Path) -> Document:
    """Two tables for each group of the test images of one held-out site; the names of the files begin with `file`'s."""
    if set(images["part"]) != {"test"}:
        return []
    columns = [column for column in groups(images) if images[column].fillna("").ne("").any()]
    return [block for column in columns for block in _of_column(images, column, file)]


def _of_column(images: pd.DataFrame, column: str, file: Path) -> Iterator[Block]:
    name, named = column.removeprefix(GROUP), grouped(images, column)
    shown = images[images["record"].isin(named.index)].assign(group=images["record"].map(named))
    hidden = images["record"].nunique() - len(named)
    yield Heading(f"Subgroups by {name}", 4)
    if len(shown):
        table = values(shown, name)
        write_csv(file.with_name(f"{file.name}_{column}.csv"), table)
        yield Table(table, CAPTION)
    if hidden:
        yield Note(f"Not shown: {plural(hidden, 'image')} of groups of fewer than {FEWEST} subjects by {name}.")
    if named.nunique() > 1 and len(found := interactions(shown, named)):
        write_csv(file.with_name(f"{file.name}_{column}_interaction.csv"), found)
        yield Table(interaction_cells(found, metrics_in(shown), name), INTERACTION_CAPTION)


def values(images: pd.DataFrame, name: str) -> pd.DataFrame:
    """One row per group and method: every metric, images and subjects. images: with their `group`."""
    metrics = metrics_in(images)
    return pd.DataFrame(
        {name: group, "method": method}
        | {metric.title: spread_cell(own, column, metric.digits) for column, metric in metrics.items()}
        | {"images": count_cell(own), "subjects": str(len(own.drop_duplicates(["site", "subject"])))}
        for group, of_group in images.groupby("group")
        for method in methods_in(of_group)
        for own in [of_group[of_group["method"] == method]]
    )


def interactions(images: pd.DataFrame, named: pd.Series) -> pd.DataFrame:
    """Columns method, against, group, metric, Interaction's and p_holm; of two groups the second mirrors the first."""
    by_method, names = dict(tuple(images.groupby("method"))), sorted(named.unique())
    rows = [
        {"method": b, "against": a, "group": group, "metric": metric}
        | vars(interaction(by_method[a], by_method[b], metric, named == group))
        for b, a in pairs(images)
        for group in (names if len(names) > 2 else names[:1])
        for metric in metrics_in(images)
    ]
    table = pd.DataFrame(rows)
    return table.assign(p_holm=holm(table["p"].tolist())) if rows else table


def interaction_cells(found: pd.DataFrame, metrics: dict[str, Metric], name: str) -> pd.DataFrame:
    """As shown: one row per pair of methods and group, one column per metric."""
    cells = found.assign(
        comparison=found["method"] + " vs " + found["against"],
        cell=[_cell(row, metrics[row["metric"]].digits) for _, row in found.iterrows()],
        metric=[f"{metrics[metric].title} Δ" for metric in found["metric"]],
    ).rename(columns={"group": name})
    wide = cells.pivot_table(index=["comparison", name], columns="metric", values="cell", aggfunc="first", sort=False)
    return wide.reset_index().rename_axis(columns=None)


def _cell(row: pd.Series, digits: int) -> str:
    difference = row["inside"] - row["outside"]
    if np.isnan(difference):
        return "n/a"
    if np.isnan(row["low"]):
        return f"{difference:+.{digits}f}\n[no interval]"
    star = "*" * bool(row["p_holm"] < 0.05)
    return f"{difference:+.{digits}f}{star}\n[{row['low']:+.{digits}f}, {row['high']:+.{digits}f}]"
