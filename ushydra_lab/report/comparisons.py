"""Each method against others on the same images; all comparisons of a report are one family of tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ushydra_lab.report.tables import last_stage, methods_in, metrics_in
from ushydra_lab.results.crossed import Common, effect_on
from ushydra_lab.results.direction import direction
from ushydra_lab.results.family import Comparison, adjusted
from ushydra_lab.results.lost import lost
from ushydra_lab.results.metrics import metrics_of
from ushydra_lab.tasks.columns import Metric

ALL_PAIRS = 5
"""Up to so many methods every pair is compared; more pairs are hard to read, and cost every one of them power."""
INTERVAL = "95 % interval that holds for all comparisons at once, from seeds crossed with subjects"
"""For captions."""


def pairs(images: pd.DataFrame) -> list[tuple[str, str]]:
    """(method, reference): all pairs of up to ALL_PAIRS methods, else each against the first of the last stage."""
    methods = methods_in(images)
    if len(methods) <= ALL_PAIRS:
        return [(b, a) for i, b in enumerate(methods) for a in methods[:i]]
    reference = methods_in(last_stage(images))[0]
    return [(method, reference) for method in methods if method != reference]


def compare_sites(sites: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Compare the methods of each held-out site on its images of one part; tests are adjusted for all of them together.

    Returns:
        What was held out -> one row per pair and metric: method, against, metric; change, in per cent of the mean of
        `against` or the plain difference; low, high: its simultaneous 95 % interval; own_low, own_high: of this
        comparison alone; p, p_holm, starred, can_be_starred (`results.family`); seeds, subjects; measured,
        measured_against: values of each; images, larger, smaller, agrees (`results.direction`); lost, lost_against,
        change_imputed (`results.lost`).
    """
    chosen = {
        (held_out, b, a, name): metric
        for held_out, images in sites.items()
        for b, a in pairs(images)
        for name, metric in metrics_in(images).items()
    }
    of_methods = {held_out: dict(tuple(images.groupby("method"))) for held_out, images in sites.items()}
    both = {
        (held_out, b, a): Common(of_methods[held_out][a], of_methods[held_out][b])
        for held_out, b, a in dict.fromkeys(key[:3] for key in chosen)
    }
    effects = {
        key: effect_on(both[key[:3]].of(key[3]), metric.change == "%", metric.most) for key, metric in chosen.items()
    }
    rows: dict[str, list[dict[str, Any]]] = {held_out: [] for held_out in sites}
    for key, one in adjusted(effects).items():
        held_out, b, a, name = key
        who = {"method": b, "against": a, "metric": name}
        rows[held_out].append(who | _row(one) | images_cells(both[key[:3]], name, chosen[key]))
    return {held_out: pd.DataFrame(found) for held_out, found in rows.items()}


def _row(one: Comparison) -> dict[str, Any]:
    return {
        "change": one.effect.change,
        "low": one.simultaneous[0],
        "high": one.simultaneous[1],
        "own_low": one.interval[0],
        "own_high": one.interval[1],
        "p": one.p,
        "p_holm": one.p_holm,
        "starred": one.starred,
        "can_be_starred": one.can_be_starred,
        "seeds": one.effect.seeds,
        "subjects": one.effect.subjects,
    }


def images_cells(both: Common, name: str, metric: Metric) -> dict[str, Any]:
    """What a comparison of b with a rests on: values, how many changed which way, and values that one lost."""
    a, b, typical = both.a, both.b, direction(both.of(name))
    measured = {"measured": int(b[name].notna().sum()), "measured_against": int(a[name].notna().sum())}
    images = measured | {
        "images": typical.images,
        "larger": typical.larger,
        "smaller": typical.smaller,
        "agrees": typical.agrees,
    }
    if measured["measured_against"] == measured["measured"] == len(a) == len(b):
        return images | {"lost": 0, "lost_against": 0, "change_imputed": np.nan}
    found = lost(a, b, name, metric.better, metric.change == "%", metric.most)
    imputed = found.imputed.change if found.lost_by_a or found.lost_by_b else np.nan
    return images | {"lost": found.lost_by_b, "lost_against": found.lost_by_a, "change_imputed": imputed}


def comparison_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Comparisons as shown, one row per pair: change, simultaneous interval, a star where it is significant."""
    metrics = metrics_of(table["metric"])
    cells = table.assign(
        comparison=table["method"] + " vs " + table["against"],
        cell=[_cell(row, metrics[row["metric"]]) for _, row in table.iterrows()],
        metric=[metrics[name].title + (" %" if metrics[name].change == "%" else " Δ") for name in table["metric"]],
    )
    wide = cells.pivot_table(index="comparison", columns="metric", values="cell", aggfunc="first", sort=False)
    return wide.reset_index().rename_axis(columns=None)


def _cell(row: pd.Series, metric: Metric) -> str:
    if np.isnan(row["change"]):
        return "n/a"
    digits = metric.change_digits
    if np.isnan(row["low"]):
        return f"{row['change']:+.{digits}f}\n[no interval]"
    if row["change"] == row["low"] == row["high"] == 0:
        return "none"
    star = "*" * bool(row["starred"])
    ends = ", ".join(f"{row[end]:+.{digits}f}".replace("inf", "∞") for end in ("low", "high"))
    return f"{row['change']:+.{digits}f}{star}\n[{ends}]"
