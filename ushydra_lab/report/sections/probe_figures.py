"""Figures of the codes: the site classifier's entropy, the distance of unseen images, and maps of the codes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ushydra_lab.figures.style import colours_of
from ushydra_lab.report.document import Document, save_figure

FIGURES = {
    "confidence": "How sure the linear classifier of the site is, all seeds",
    "roc": "kNN distance of the code: ROC of unseen against validation images, a line a seed",
    "knn": "kNN distance of the code, one seed",
    "pca": "Codes in the plane of the training codes' main axes, one seed",
    "umap": "Codes as UMAP places them, one seed",
}
SEEN, OTHERS = "#9a9a9a", "#000000"
"""Of the seen sites' images together, and of unseen ones of several sites."""


def figures(codes: pd.DataFrame, file: Path, sites: Sequence[str]) -> Document:
    """Write every figure of one held-out site as FILE_NAME.png and .pdf, and return their blocks.

    codes: method, seed, fold, part, site and what each image's code z got; sites: all of the data, in the order of
    their colours, so that each has the same in every figure.
    """
    one = codes.sort_values(["seed", "fold"], kind="stable").iloc[0]
    first = codes[(codes["seed"] == one["seed"]) & (codes["fold"] == one["fold"])]
    distance = "mean distance to 10 training codes"
    drawn = {"roc": draw_roc(codes, sites), "knn": draw_histograms(first, "knn", distance, sites)}
    if "max_softmax" in codes and codes["max_softmax"].notna().any():
        drawn["confidence"] = draw_histograms(codes, "max_softmax", "maximum softmax", sites)
    drawn |= {name: draw_plane(first, name, sites) for name in ("pca", "umap") if f"{name}_1" in first}
    return [
        save_figure(drawn[name], file.with_name(f"{file.name}_{name}"), FIGURES[name])
        for name in FIGURES
        if name in drawn
    ]


def _unseen(codes: pd.DataFrame, sites: Sequence[str]) -> tuple[str, str]:
    """Label and colour of the unseen images."""
    unseen = codes.loc[codes["part"] == "test", "site"].unique()
    return (f"{unseen[0]} (unseen)", colours_of(sites)[unseen[0]]) if len(unseen) == 1 else ("unseen images", OTHERS)


def _panels(methods: list[str], shared: bool = True) -> tuple[Figure, dict[str, Axes]]:
    figure = Figure(figsize=(3.4 * len(methods), 3.2), layout="constrained")
    axes = figure.subplots(1, len(methods), sharex=shared, sharey=shared, squeeze=False)[0]
    for axis, method in zip(axes, methods, strict=True):
        axis.set_title(method, fontsize=9)
    return figure, dict(zip(methods, axes, strict=True))


def draw_histograms(codes: pd.DataFrame, column: str, label: str, sites: Sequence[str]) -> Figure:
    """Draw histograms of a score, one panel per method: validation images filled, unseen images outlined."""
    figure, axes = _panels(list(codes["method"].unique()))
    bins = np.histogram_bin_edges(codes[column].dropna(), 24)
    shown = {"val": ("validation, seen sites", SEEN), "test": _unseen(codes, sites)}
    for method, axis in axes.items():
        for part, (name, colour) in shown.items():
            values = codes.loc[(codes["method"] == method) & (codes["part"] == part), column].to_numpy()
            style = {"histtype": "stepfilled", "alpha": 0.45} if part == "val" else {"histtype": "step", "hatch": "//"}
            weights = np.full(len(values), 1 / max(len(values), 1))
            axis.hist(values, bins.tolist(), weights=weights, color=colour, label=name, **style)
        axis.set_xlabel(label)
    _finish(figure, "share of images")
    return figure


def draw_roc(codes: pd.DataFrame, sites: Sequence[str]) -> Figure:
    """Draw ROC curves of detecting unseen images, one line per run: true over false positive rate."""
    figure, axes = _panels(list(codes["method"].unique()))
    for keys, run in codes.groupby(["method", "seed", "fold"], sort=False):
        scores = {part: np.sort(run.loc[run["part"] == part, "knn"].to_numpy()) for part in ("val", "test")}
        limits = np.unique(np.concatenate([[-np.inf], *scores.values()]))[::-1]
        rates = {
            part: 1 - np.searchsorted(values, limits, side="right") / len(values) for part, values in scores.items()
        }
        axes[str(keys[0])].plot([*rates["val"], 1], [*rates["test"], 1], color=_unseen(codes, sites)[1], linewidth=1)
    for axis in axes.values():
        axis.plot([0, 1], [0, 1], ":", color="grey", linewidth=0.8)
        axis.set(xlabel="validation images flagged", xlim=(0, 1), ylim=(0, 1.01))
    figure.axes[0].set_ylabel("unseen images flagged")
    return figure


def draw_plane(codes: pd.DataFrame, name: str, sites: Sequence[str]) -> Figure:
    """Draw codes in the plane, one panel per method; a dot is an image, its colour and marker the site, unseen on top.

    Each panel has its own axes, which mean nothing in another: each method's plane is fitted by itself.
    """
    figure, axes = _panels(list(codes["method"].unique()), shared=False)
    colours = colours_of(sites)
    for method, axis in axes.items():
        of_method = codes[codes["method"] == method]
        for keys, own in of_method.groupby(["site", of_method["part"] == "test"]):
            site, unseen = str(keys[0]), bool(keys[1])
            style: dict[str, Any] = {
                "color": colours[site],
                "marker": "osD^vP*"[sites.index(site) % 7],
                "alpha": 0.7,
                "linewidths": 0,
            }
            label = f"{site} (unseen)" if unseen else site
            axis.scatter(own[f"{name}_1"], own[f"{name}_2"], s=14, label=label, zorder=2 if unseen else 1, **style)
        axis.set_xlabel(f"{name.upper()} 1")
    _finish(figure, f"{name.upper()} 2")
    return figure


def _finish(figure: Figure, ylabel: str) -> None:
    figure.axes[0].set_ylabel(ylabel)
    figure.axes[-1].legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
