"""Bland-Altman figures: difference of two measurements over their mean."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ushydra_lab.figures.style import colours_of
from ushydra_lab.report.tables import methods_in
from ushydra_lab.results.repeats import RepeatedAgreement

LINES = {"bias": "-", "low": "--", "high": "--"}
FIGURE_CAPTION = (
    "Each point is an image; solid: bias, dashed: limits of agreement. Triangles at the edge: errors beyond the axis, "
    "as many as the panel's title says, and how far they reach."
)
Agreements = dict[tuple[str, int], RepeatedAgreement]
"""Of each method and seed."""


def draw(images: pd.DataFrame, name: str, unit: str, limits_by_run: Agreements) -> Figure:
    """Draw difference over mean, one panel per method and one colour per seed; bias solid, limits dashed.

    The axis ends half the height of the limits beyond them; errors further out, which would squash all others, are
    triangles at its edge, and the panel's title counts them.
    """
    methods = methods_in(images)
    figure = Figure(figsize=(3.6 * len(methods), 3.8), layout="constrained")
    axes = dict(zip(methods, figure.subplots(1, len(methods), sharex=True, sharey=True, squeeze=False)[0], strict=True))
    colours = colours_of(sorted(seed for _, seed in limits_by_run))
    pair, ends = [f"{name}_{unit}", f"{name}_true_{unit}"], _ends(limits_by_run)
    for (method, seed), limits in limits_by_run.items():
        chosen = images.loc[(images["method"] == method) & (images["seed"] == seed), pair]
        _panel(axes[method], chosen.mean(axis=1), chosen[pair[0]] - chosen[pair[1]], limits, ends, colours[seed])
    for method, axis in axes.items():
        chosen = images.loc[images["method"] == method, pair]
        axis.set_title(method + _beyond(chosen[pair[0]] - chosen[pair[1]], ends, unit), fontsize=9)
        axis.set_xlabel(f"mean of both {name.upper()} ({unit})")
        axis.grid(alpha=0.3)
    axes[methods[0]].set_ylabel(f"measured − reference {name.upper()} ({unit})")
    handles = [
        Line2D([], [], color=colour, marker="o", markersize=3, label=f"seed {s}") for s, colour in colours.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _ends(limits_by_run: Agreements) -> tuple[float, float]:
    """The ends of the difference axis."""
    known = [limits for limits in limits_by_run.values() if not np.isnan(limits.low)]
    if not known:
        return -np.inf, np.inf
    low, high = min(limits.low for limits in known), max(limits.high for limits in known)
    return low - (high - low) / 2, high + (high - low) / 2


def _beyond(errors: pd.Series, ends: tuple[float, float], unit: str) -> str:
    """A second line of a title; nothing where all errors lie between the ends of the axis."""
    below, above = errors[errors < ends[0]], errors[errors > ends[1]]
    parts = [f"{len(below)} below (to {below.min():+.1f} {unit})"] * (not below.empty)
    parts += [f"{len(above)} above (to {above.max():+.1f} {unit})"] * (not above.empty)
    return "\n" + ", ".join(parts).replace("-", "−") if parts else ""


def _panel(
    axis: Axes, mean: pd.Series, error: pd.Series, limits: RepeatedAgreement, ends: tuple[float, float], colour: str
) -> None:
    below, above = error < ends[0], error > ends[1]
    for marker, size, rows in (("o", 9, ~below & ~above), ("v", 36, below), ("^", 36, above)):
        if rows.any():
            shown = error[rows].clip(*ends)
            axis.scatter(mean[rows], shown, size, color=colour, marker=marker, alpha=0.7, linewidths=0)
    for of, style in LINES.items():
        axis.axhline(getattr(limits, of), linestyle=style, color=colour, linewidth=1)
