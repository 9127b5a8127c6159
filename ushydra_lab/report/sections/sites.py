"""Each method's results over all held-out sites: the mean over sites and the worst site."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ushydra_lab.files import write_csv
from ushydra_lab.report.document import Document, Heading, Table
from ushydra_lab.report.missing import data_sets
from ushydra_lab.report.tables import NOTHING, mean_cell, methods_in, metrics_in
from ushydra_lab.results.collect import Collected
from ushydra_lab.tasks.columns import Metric

CAPTION = (
    "Images of each site by the networks that had not been trained on it. Each site counts alike: of a site, the mean "
    "over seeds of the mean over images; of all sites, mean ± SD (ddof 1). A method that lacks sites says so; its mean "
    "is not to be compared with those of the others."
)


def section(collected: Collected, folder: Path) -> Document:
    """A table for each data set of which several sites were held out; written as CSV into `folder` too."""
    blocks: Document = []
    test = collected.images[collected.images["part"] == "test"]
    for number, (sites, done) in enumerate(data_sets(collected).items(), start=1):
        held_out = [one for one in done if one in sites]
        if len(held_out) > 1:
            rows = table(test[test["held_out"].isin(held_out)])
            write_csv(folder / f"sites{number if number > 1 else ''}.csv", rows)
            blocks += [Heading(f"Over {len(held_out)} held-out sites", 3), Table(rows, CAPTION)]
    return [Heading("All sites together", 2), *blocks] if blocks else []


def table(images: pd.DataFrame) -> pd.DataFrame:
    """One row per metric and method: mean ± SD over sites, the worst site and its value, n sites."""
    images = images.assign(method=images["method_name"])
    count, rows = images["site"].nunique(), []
    for name, metric in metrics_in(images).items():
        for method in methods_in(images):
            per_seed = images[images["method"] == method].groupby(["site", "seed"])[name].mean()
            of_sites = per_seed.groupby("site").mean().dropna()
            if len(of_sites):
                rows.append({"metric": metric.title, "method": method} | _row(of_sites, metric, count))
    return pd.DataFrame(rows)


def _row(of_sites: pd.Series, metric: Metric, count: int) -> dict[str, str]:
    worst_first = of_sites.sort_values(ascending=metric.better == "higher", kind="stable")
    there = str(count) if len(of_sites) == count else f"{len(of_sites)} of {count}"
    return {
        "mean over sites": mean_cell(of_sites.mean(), of_sites.std(ddof=1), metric.digits),
        "worst site": str(worst_first.index[0]) if worst_first.nunique() > 1 else NOTHING,
        "there": mean_cell(worst_first.iloc[0], float("nan"), metric.digits),
        "sites": there,
    }
