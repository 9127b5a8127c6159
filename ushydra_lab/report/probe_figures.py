"""Figures of the codes: how sure the linear classifier is, how far unseen images are, where the codes lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ushydra_lab.report.figures import colours_of, save

FIGURES = {
    "confidence": "How sure the linear classifier of the site is, all seeds",
    "roc": "kNN distance of the code: ROC of unseen against validation images, a line a seed",
    "knn": "kNN distance of the code, one seed",
    "pca": "Codes in the plane of the training codes' main axes, one seed",
    "umap": "Codes as UMAP places them, one seed",
}
SHOWN = {"val": "validation, seen sites", "test": "unseen site"}


def figures(codes: pd.DataFrame, file: Path) -> list[str]:
    """Every figure of one held-out site as FILE_NAME.png and .pdf, and the Markdown that shows them.

    codes: method, seed, fold, part, site and what each image's code z got.
    """
    one = codes.sort_values(["seed", "fold"], kind="stable").iloc[0]
    first = codes[(codes["seed"] == one["seed"]) & (codes["fold"] == one["fold"])]
    drawn = {"roc": draw_roc(codes), "knn": draw_histograms(first, "knn", "mean distance to 10 training codes")}
    if "max_softmax" in codes and codes["max_softmax"].notna().any():
        drawn["confidence"] = draw_histograms(codes, "max_softmax", "maximum softmax")
    drawn |= {name: draw_plane(first, name) for name in ("pca", "umap") if f"{name}_1" in first}
    return [
        save(drawn[name], file.with_name(f"{file.name}_{name}"), FIGURES[name]) for name in FIGURES if name in drawn
    ]


def _panels(methods: list[str], shared: bool = True) -> tuple[Figure, dict[str, Axes]]:
    figure = Figure(figsize=(3.4 * len(methods), 3.2), layout="constrained")
    axes = figure.subplots(1, len(methods), sharex=shared, sharey=shared, squeeze=False)[0]
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
    """One panel a method: a dot an image, a colour and marker a site; unseen sites last, on top.

    Each panel has its own axes, which mean nothing in another: each method's plane is fitted by itself.
    """
    figure, axes = _panels(list(codes["method"].unique()), shared=False)
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
