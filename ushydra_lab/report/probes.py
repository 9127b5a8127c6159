"""Tables 4 to 6 of the NT paper and its figures of the codes: what the probes left in the run directories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ushydra_lab.probes import CSV, JSON
from ushydra_lab.report.collect import Collected
from ushydra_lab.report.figures import colours_of, save
from ushydra_lab.report.tables import markdown, spread_cell
from ushydra_lab.runs.files import write_csv

COMMAND = "python -m ushydra_lab.probes"
FEATURES = {"z": "code z", "roi": "ROI-pooled map", "texture": "SD of the map in 2 x 3 cells"}
PRINTED: dict[str, dict[str, str]] = {
    "max_softmax": {"phase1": "0.751 / 0.710 / 0.556", "phase2": "0.752 / 0.710 / 0.541"},
    "entropy": {"phase1": "0.523 / 0.574 / 0.684", "phase2": "0.521 / 0.575 / 0.688"},
    "mahalanobis_auroc": {"phase1": "0.868 / 0.740 / 0.995", "phase2": "0.868 / 0.749 / 0.996"},
    "knn_auroc": {"phase1": "0.715 / 0.638 / 0.932", "phase2": "0.718 / 0.642 / 0.931"},
    "quality_r2": {"phase1": "0.177 / 0.175 / 0.053", "phase2": "0.235 / 0.153 / 0.074"},
    "quality_rho": {"phase1": "0.321 / 0.493 / 0.298", "phase2": "0.317 / 0.407 / 0.358"},
}
"""Tables 4, 5 and 6: hospital 1 / 2 / 3 held out; the final objective, on z."""
TABLES: dict[str, tuple[str, dict[str, str], str]] = {
    "table4": (
        "Can the hospital be told from the code (Table 4)",
        {
            "site_accuracy": "Accuracy, seen sites",
            "site_auroc": "AUROC, seen sites",
            "max_softmax": "Confidence, unseen ↓",
            "entropy": "Entropy, unseen (nats) ↑",
        },
        "A linear classifier of the seen sites, fitted on training images: accuracy and AUROC on their validation "
        "images; mean maximum softmax and entropy on the unseen site. It is sure where codes are like one hospital's.",
    ),
    "table5": (
        "Are images of the unseen site told from seen ones (Table 5)",
        {
            "mahalanobis_auroc": "Mahalanobis ↑",
            "mahalanobis_l2_auroc": "Mahalanobis, |z| = 1 ↑",
            "knn_auroc": "kNN ↑",
        },
        "AUROC of out-of-distribution scores fitted on training images, validation images of the seen sites against "
        "those of the unseen; 0.5 is chance. kNN: mean distance to 10 neighbours.",
    ),
    "table6": (
        "Is the quality of the ROI told from the code (Table 6)",
        {
            "quality_r2": "R² ↓",
            "quality_rho": "Spearman ρ ↓",
            "triage_drift_rho": "Triage: ρ with NT drift ↑",
            "triage_lost_auroc": "Triage: AUROC of lost NT ↑",
        },
        "Ridge regression of the ROI edge error from the code, fitted on training images, on the unseen site; paper: "
        "less is a code freer of artefacts. Triage: one score of ROI residual, ROI edge residual and the "
        "norm of the code.",
    ),
}
CAPTION = "Mean ± SD over seeds (ddof 1). Paper: hospital 1 / 2 / 3 held out, private images; – where it prints none."
FIGURES = {
    "confidence": "How sure the linear classifier of the site is, all seeds",
    "roc": "kNN distance of the code: ROC of unseen against validation images, a line a seed",
    "knn": "kNN distance of the code, one seed",
    "pca": "Codes in the plane of the training codes' main axes, one seed",
    "umap": "Codes as UMAP places them, one seed",
}
SHOWN = {"val": "validation, seen sites", "test": "unseen site"}


def section(found: Collected, folder: Path) -> list[str]:
    """Tables and figures of every held-out site, as Markdown; nothing where nothing was probed."""
    scores, missing = read(found.stages)
    if scores.empty:
        return []
    texts = ["## What the frozen encoder knows\n"]
    for held_out, chosen in scores.groupby("held_out", sort=False):
        for name, (title, columns, caption) in TABLES.items():
            if not set(columns) & set(chosen.dropna(axis=1, how="all")):
                continue
            file = folder / f"{held_out}_probes_{name}"
            write_csv(file.with_suffix(".csv"), chosen[[*WHO, *(c for c in columns if c in chosen)]])
            texts += [
                f"### {title}, held out {held_out}\n",
                markdown(table(chosen, columns)),
                f"\n{caption} {CAPTION}\n",
            ]
        texts += _figures(images(chosen), folder / f"{held_out}_probes")
    return texts + _gaps(missing)


WHO = ["held_out", "fold", "seed", "method", "stage", "variant", "feature"]


def read(stages: pd.DataFrame) -> tuple[pd.DataFrame, list[Path]]:
    """held_out, fold, seed, method, stage, variant, feature, run and every score; and the runs without probes.

    Scores of other weights than the run has now are as none. A stage that runs share counts once.
    """
    rows, missing = [], []
    for stage in stages.to_dict("records"):
        known = _read_json(stage["run"] / JSON)
        same = known.get("made_from", {}).get("stages", {}).get(stage["stage"]) == stage["key"]
        if not same or not (stage["run"] / CSV).exists():
            missing.append(stage["run"])
            continue
        who = {key: stage[key] for key in (*WHO[:-1], "run")}
        rows += [who | {"feature": feature} | values for feature, values in known["stages"][stage["stage"]].items()]
    table = pd.DataFrame(rows)
    once = table.drop_duplicates(["fold", "seed", "method", "feature"]) if rows else table
    return once, list(dict.fromkeys(missing))


def _read_json(file: Path) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def table(scores: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """One row a method and feature: mean ± SD over seeds of each score, what the paper prints beside it."""
    rows = []
    for (method, feature), chosen in scores.groupby(["method", "feature"], sort=False):
        row = {"method": method, "codes": FEATURES.get(str(feature), feature)}
        for score, title in columns.items():
            if score in chosen:
                row[title] = spread_cell(chosen.astype({score: float}), score, 3)
                if score in PRINTED:
                    row[f"{title[:-2]}, paper"] = _printed(chosen.iloc[0], score)
        rows.append(row | {"seeds": chosen["seed"].nunique()})
    return pd.DataFrame(rows)


def _printed(row: pd.Series, score: str) -> str:
    final = row["stage"] == "phase1" or row["variant"] == "roi"
    return PRINTED[score].get(row["stage"], "–") if final and row["feature"] == "z" else "–"


def images(scores: pd.DataFrame) -> pd.DataFrame:
    """What each image's code z got, of every run in `scores`, with seed and method."""
    tables = []
    for row in scores[scores["feature"] == "z"].to_dict("records"):
        whole = pd.read_csv(row["run"] / CSV, converters={"site": str})
        own = whole[(whole["stage"] == row["stage"]) & (whole["feature"] == "z")]
        tables.append(own.assign(method=row["method"], seed=row["seed"], fold=row["fold"]))
    return pd.concat(tables, ignore_index=True)


def _figures(codes: pd.DataFrame, file: Path) -> list[str]:
    first = codes[(codes["seed"] == codes["seed"].min()) & (codes["fold"] == codes["fold"].iloc[0])]
    drawn = {"roc": draw_roc(codes), "knn": draw_histograms(first, "knn", "mean distance to 10 training codes")}
    if "max_softmax" in codes and codes["max_softmax"].notna().any():
        drawn["confidence"] = draw_histograms(codes, "max_softmax", "maximum softmax")
    drawn |= {name: draw_plane(first, name) for name in ("pca", "umap") if f"{name}_1" in first}
    return [
        save(drawn[name], file.with_name(f"{file.name}_{name}"), FIGURES[name]) for name in FIGURES if name in drawn
    ]


def _panels(methods: list[str]) -> tuple[Figure, dict[str, Axes]]:
    figure = Figure(figsize=(3.4 * len(methods), 3.2), layout="constrained")
    axes = figure.subplots(1, len(methods), sharex=True, sharey=True, squeeze=False)[0]
    for axis, method in zip(axes, methods, strict=True):
        axis.set_title(method, fontsize=9)
    return figure, dict(zip(methods, axes, strict=True))


def draw_histograms(codes: pd.DataFrame, column: str, label: str) -> Figure:
    """One panel a method: the share of validation (filled) and of unseen images (outlined) by a score."""
    figure, axes = _panels(list(codes["method"].unique()))
    bins = np.histogram_bin_edges(codes[column].dropna(), 24)
    colours = colours_of(SHOWN)
    for method, axis in axes.items():
        for part, name in SHOWN.items():
            values = codes.loc[(codes["method"] == method) & (codes["part"] == part), column].to_numpy()
            style = {"histtype": "stepfilled", "alpha": 0.45} if part == "val" else {"histtype": "step", "hatch": "//"}
            weights = np.full(len(values), 1 / max(len(values), 1))
            axis.hist(values, bins.tolist(), weights=weights, color=colours[part], label=name, **style)
        axis.set_xlabel(label)
    _finish(figure, "share of images")
    return figure


def draw_roc(codes: pd.DataFrame) -> Figure:
    """Share of unseen images found over share of validation images taken for unseen: a line a run."""
    figure, axes = _panels(list(codes["method"].unique()))
    for keys, run in codes.groupby(["method", "seed", "fold"], sort=False):
        scores = {part: np.sort(run.loc[run["part"] == part, "knn"].to_numpy()) for part in SHOWN}
        limits = np.unique(np.concatenate([[-np.inf], *scores.values()]))[::-1]
        rates = {
            part: 1 - np.searchsorted(values, limits, side="right") / len(values) for part, values in scores.items()
        }
        axes[str(keys[0])].plot([*rates["val"], 1], [*rates["test"], 1], color=colours_of(SHOWN)["test"], linewidth=1)
    for axis in axes.values():
        axis.plot([0, 1], [0, 1], ":", color="grey", linewidth=0.8)
        axis.set(xlabel="validation images flagged", xlim=(0, 1), ylim=(0, 1.01))
    figure.axes[0].set_ylabel("unseen images flagged")
    return figure


def draw_plane(codes: pd.DataFrame, name: str) -> Figure:
    """One panel a method: a dot an image, a colour and marker a site; unseen sites last, on top."""
    figure, axes = _panels(list(codes["method"].unique()))
    sites = list(dict.fromkeys(codes.sort_values("part", key=lambda part: part == "test", kind="stable")["site"]))
    colours = colours_of(sites)
    for method, axis in axes.items():
        for number, site in enumerate(sites):
            own = codes[(codes["method"] == method) & (codes["site"] == site)]
            style: dict[str, Any] = {
                "color": colours[site],
                "marker": "osD^vP*"[number % 7],
                "alpha": 0.7,
                "linewidths": 0,
            }
            axis.scatter(own[f"{name}_1"], own[f"{name}_2"], s=14, label=site, **style)
        axis.set_xlabel(f"{name.upper()} 1")
    _finish(figure, f"{name.upper()} 2")
    return figure


def _finish(figure: Figure, ylabel: str) -> None:
    figure.axes[0].set_ylabel(ylabel)
    figure.axes[-1].legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))


def _gaps(missing: list[Path]) -> list[str]:
    if not missing:
        return []
    lines = [f"- {'/'.join(run.parts[-3:])}: `{COMMAND} {'/'.join(run.parts[-4:])}`" for run in missing]
    return ["Runs without probes of their present weights, and the command for each:\n", *lines, ""]
