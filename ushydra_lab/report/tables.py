"""Tables from the collected images: every method's metrics, and each method against the first."""

from __future__ import annotations

import pandas as pd

from ushydra_lab.report.metrics import METRICS
from ushydra_lab.report.statistics import Comparison, compare, holm, spread

PARTS = {"val": "validation", "test": "test, unseen site"}


def metrics_in(images: pd.DataFrame) -> list[str]:
    """The known metrics a table has; the drift in px only where no spacing gives mm."""
    present = [name for name in METRICS if name in images and images[name].notna().any()]
    return [name for name in present if not (name.endswith("_px") and f"{name[:-3]}_mm" in present)]


def methods_in(images: pd.DataFrame) -> list[str]:
    """Methods in the order of their stages, as they were first met."""
    return list(dict.fromkeys(images.sort_values("stage", kind="stable")["method"]))


def values_table(images: pd.DataFrame) -> pd.DataFrame:
    """One row a part and method: mean ± SD over seeds of every metric, with the seeds and images counted."""
    rows = []
    for part in (part for part in PARTS if part in set(images["part"])):
        for method in methods_in(images):
            chosen = images[(images["part"] == part) & (images["method"] == method)]
            if chosen.empty:
                continue
            cells = {METRICS[name].title: _cell(chosen, name) for name in metrics_in(images)}
            counts = spread(chosen, metrics_in(images)[0])
            rows.append({"part": PARTS[part], "method": method, **cells, "seeds": counts.seeds, "images": counts.images})
    return pd.DataFrame(rows)


def _cell(images: pd.DataFrame, metric: str) -> str:
    found = spread(images, metric)
    digits = METRICS[metric].digits
    return f"{found.mean:.{digits}f} ± " + (f"{found.sd:.{digits}f}" if found.seeds > 1 else "n/a")


def comparisons(images: pd.DataFrame) -> pd.DataFrame:
    """Each pair (later method against an earlier one), part and metric: change, 95 % interval, Holm-adjusted p.

    Holm's adjustment is over the metrics and pairs of one part.
    """
    methods = methods_in(images)
    pairs = [(a, b) for i, a in enumerate(methods) for b in methods[i + 1 :]]
    frames = [_compare_part(images[images["part"] == p], p, pairs) for p in PARTS if p in set(images["part"])]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _compare_part(images: pd.DataFrame, part: str, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    by_method = dict(tuple(images.groupby("method")))
    rows = []
    for a, b in pairs:
        for metric in metrics_in(images):
            found: Comparison = compare(by_method[a], by_method[b], metric)
            rows.append({"part": part, "method": b, "against": a, "metric": metric, **vars(found)})
    table = pd.DataFrame(rows)
    return table.assign(p_holm=holm(table["p"].tolist())) if rows else table


def comparison_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The comparisons as readers see them: one row a part and pair, `change % [95 % interval]` and a mark for p < 0.05."""
    cells = table.assign(
        part=table["part"].map(PARTS),
        comparison=table["method"] + " vs " + table["against"],
        metric=[METRICS[name].title for name in table["metric"]],
        cell=[_change(row) for row in table.itertuples()],
    )
    wide = cells.pivot_table(
        index=["part", "comparison"], columns="metric", values="cell", aggfunc="first", sort=False
    )
    return wide.reset_index().rename_axis(columns=None)


def _change(row: object) -> str:
    if row.subjects == 0:  # type: ignore[attr-defined]
        return "n/a"
    star = "*" if row.p_holm < 0.05 else ""  # type: ignore[attr-defined]
    return f"{row.relative:+.1f}{star} [{row.low:+.1f}, {row.high:+.1f}]"  # type: ignore[attr-defined]


def markdown(table: pd.DataFrame) -> str:
    """A table of strings and numbers as GitHub Markdown."""
    rows = [list(table), ["---"] * table.shape[1], *table.itertuples(index=False)]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)
