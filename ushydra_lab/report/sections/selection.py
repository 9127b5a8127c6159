"""Which method each rule of model selection would choose, and what it then does at the unseen site.

Rules of DomainBed (I. Gulrajani and D. Lopez-Paz, In search of lost domain generalization, ICLR 2021).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

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
    rows = [
        row
        for held_out, own in last_stage(collected.images).groupby("held_out")
        if is_hospital(str(held_out))
        for row in choices(own)
    ]
    if not rows:
        return []
    table = pd.DataFrame(rows)
    write_csv(folder / "selection.csv", table)
    return [Heading(TITLE, 2), Table(table, CAPTION)]


def choices(images: pd.DataFrame) -> list[dict[str, str]]:
    """The choices at one held-out site, of its validation and test images: one row per metric that both parts have."""
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
                "leave one training site out": NOT_RUN,
                "oracle": f"{oracle}: {test[oracle]:.{metric.digits}f}",
                "gap": f"{gap:.{metric.digits}f}",
            }
        )
    return rows
