"""Which method each rule of model selection would choose, and what it then does at the unseen site.

Rules of DomainBed (I. Gulrajani and D. Lopez-Paz, In search of lost domain generalization, ICLR 2021).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ushydra_lab.data.split import LeaveSitesOut
from ushydra_lab.files import write_csv
from ushydra_lab.report.document import Document, Heading, Table
from ushydra_lab.report.tables import NOT_RUN, last_stage, metrics_in
from ushydra_lab.results.collect import Collected
from ushydra_lab.results.hospitals import is_hospital

TITLE = "Choosing a method"
CAPTION = (
    "The last stage's method that a rule chooses by its mean over seeds, and its value on the unseen site. "
    "Training-domain validation: validation images of the seen sites. Oracle: the unseen site itself, which nobody has "
    "beforehand; the gap is what the first rule loses to it. Leaving one training site out takes runs that hold out "
    "two sites."
)


def section(collected: Collected, folder: Path) -> Document:
    """One row per held-out site and metric, also as CSV; empty where there is nothing to choose from."""
    inner = left_out_images(collected)
    rows = [
        row
        for held_out, own in last_stage(collected.images).groupby("held_out")
        if is_hospital(str(held_out))
        for row in choices(own, inner[inner["held_out"] == held_out])
    ]
    if not rows:
        return []
    table = pd.DataFrame(rows)
    write_csv(folder / "selection.csv", table)
    return [Heading(TITLE, 2), Table(table, CAPTION)]


def left_out_images(collected: Collected) -> pd.DataFrame:
    """Images of the training site that each inner fold left out, as the last stage answered them; with method_name."""
    last = last_stage(collected.images)[["held_out", "variant", "stage", "method_name"]].drop_duplicates()
    tables = [pd.DataFrame(columns=["held_out", "site"])]
    for run in collected.inner:
        tested = run.images[run.images["part"] == "test"]
        held_out = LeaveSitesOut(run.config["split"]["held_out"]).name
        who: dict[str, Any] = {"held_out": held_out, "variant": run.summary.variant, "seed": run.summary.seed}
        tables.append(tested.assign(**who).merge(last.astype({"stage": str}), on=["held_out", "variant", "stage"]))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def choices(images: pd.DataFrame, left_out: pd.DataFrame) -> list[dict[str, str]]:
    """The choices at one held-out site, of its validation and test images: one row per metric that both parts have.

    left_out: see `left_out_images`.
    """
    parts = {part: images[images["part"] == part] for part in ("val", "test")}
    rows = []
    for name, metric in metrics_in(parts["test"]).items() if len(parts["test"]) else ():
        means = {part: own.groupby(["method_name", "seed"])[name].mean() for part, own in parts.items()}
        val, test = (means[part].groupby("method_name").mean().dropna() for part in parts)
        both = val.index.intersection(test.index)
        if len(both) < 2:
            continue
        sign = 1 if metric.better == "higher" else -1
        chosen, oracle = (str((sign * one[both]).idxmax()) for one in (val, test))
        gap = abs(float(test[oracle] - test[chosen]))
        rows.append(
            {
                "held out": str(images["held_out"].iloc[0]),
                "metric": metric.title,
                "training-domain validation": f"{chosen}: {test[chosen]:.{metric.digits}f}",
                "leave one training site out": _by_left_out(left_out, name, sign, test[both], metric.digits),
                "oracle": f"{oracle}: {test[oracle]:.{metric.digits}f}",
                "gap": f"{gap:.{metric.digits}f}",
            }
        )
    return rows


def _by_left_out(left_out: pd.DataFrame, name: str, sign: int, test: pd.Series, digits: int) -> str:
    """The method of `test` that is best at the training sites, each left out in turn and counting alike, and its value
    there; not run where a method lacks a site.
    """
    if left_out.empty or name not in left_out:
        return NOT_RUN
    per_seed = left_out.groupby(["method_name", "site", "seed"])[name].mean()
    of_sites = per_seed.groupby(["method_name", "site"]).mean().unstack().reindex(test.index)
    if of_sites.isna().any(axis=None):
        return NOT_RUN
    chosen = str((sign * of_sites.mean(axis=1)).idxmax())
    return f"{chosen}: {test[chosen]:.{digits}f}"
