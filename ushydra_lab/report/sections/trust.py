"""How far a report's verdicts can be trusted: its own rate of false stars, and the sources of variance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ushydra_lab.files import write_csv
from ushydra_lab.report.comparisons import pairs
from ushydra_lab.report.document import Document, Heading, Note, Table
from ushydra_lab.report.tables import last_stage, methods_in, metrics_in
from ushydra_lab.results.collect import Collected
from ushydra_lab.results.components import shares, variance_components
from ushydra_lab.results.rates import Layout, Rate, false_positives, layout, relabelled

TABLES = 1000
"""Simulated; the share of 5 % is then known to within 1.4 points."""
LEAST_SEEDS = 8
"""Of a check that calls half of a method's seeds another method; fewer give too few different halves."""
TITLE = "How far these verdicts can be trusted"
VARIANCE_CAPTION = (
    "Share of the variance of single values by the network trained with another seed (split and initialisation "
    "together, unless split_seed is set), by the subject, by the image within a subject, and by what one training does "
    "to one image; n/a where these runs cannot tell. Values of {}, images of unseen sites; within each site, then "
    "their mean."
)


def section(collected: Collected, folder: Path) -> Document:
    """The measured rate of false stars, and the variance table, also as CSV; empty without images of an unseen site."""
    test = collected.images[collected.images["part"] == "test"]
    if test.empty:
        return []
    blocks: Document = [Heading(TITLE, 2), *(Note(text) for text in _rates(test))]
    method = methods_in(last_stage(test))[0]
    table = variances(test[test["method"] == method])
    write_csv(folder / "variances.csv", table)
    return [*blocks, Table(table, VARIANCE_CAPTION.format(method))] if len(table) else blocks


def _rates(test: pd.DataFrame) -> list[str]:
    named = test.assign(method=test["method_name"])  # a method that lacks a seed of one site is the same method
    sites = [images for _, images in named.groupby("held_out")]
    compared = [images for images in sites if len(methods_in(images)) > 1]
    if not compared:
        return []
    methods = max((methods_in(images) for images in compared), key=len)
    whole = [images for images in compared if methods_in(images) == methods]
    order = {name: place for place, name in enumerate(methods)}
    places = [(order[b], order[a]) for b, a in pairs(whole[0])]
    layouts = [layout(images, methods, shared) for images in whole if (shared := _shared_metrics(images))]
    usable = [one for one in layouts if one.testable and one.counts.shape[1]]
    if not usable:
        return ["One seed, or one subject, shows no difference at all: nothing here has a star or an interval."]
    rate = false_positives(usable, places, TABLES)
    words = [
        f"If no method differed from another, {_share(rate)} of reports laid out like this one would show a false star "
        f"({TABLES} simulated with these runs' own variances of seeds and subjects)."
    ]
    return words + _checks(usable)


def _shared_metrics(images: pd.DataFrame) -> list[str]:
    """The metrics that every method has values of; methods may segment different structures."""
    by_method = images.groupby("method")
    return [name for name in metrics_in(images) if (by_method[name].count() > 0).all()]


def _checks(usable: list[Layout]) -> list[str]:
    """Without any model: methods compared with themselves, where there are enough seeds."""
    found = [relabelled(one) for one in usable if one.counts.shape[2] >= LEAST_SEEDS]
    if not found:
        return []
    rate = Rate(sum(one.starred for one in found), sum(one.tables for one in found))
    return [
        f"Each method against itself, half of its seeds called another method: {rate.starred} of {rate.tables} tables "
        "had a star (tables share seeds, so that they are no independent trials)."
    ]


def _share(rate: Rate) -> str:
    low, high = rate.interval
    return f"{100 * rate.share:.1f} % (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"


def variances(images: pd.DataFrame) -> pd.DataFrame:
    """One row per metric of one method: share of the variance by each factor, per cent, the mean over held-out sites.

    Site by site, since the same seed makes other networks where another site is held out.
    """
    rows = []
    for name, metric in metrics_in(images).items():
        sites = [variance_components(own, name) for _, own in images.groupby("held_out")]
        means = pd.DataFrame(sites).mean()
        found = shares({str(factor): float(mean) for factor, mean in means.items()})
        cells = {factor: "n/a" if np.isnan(share) else f"{100 * share:.0f} %" for factor, share in found.items()}
        rows.append({"metric": metric.label} | cells)
    return pd.DataFrame(rows)
