"""Figures of where each landmark lies in the frame, site by site: swapped ends or columns show as swapped colours."""

import base64
import io
from dataclasses import dataclass
from math import ceil

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ushydra_lab.audit.flags import by_site
from ushydra_lab.audit.outliers import Floats
from ushydra_lab.data.vocabulary import Annotation, annotations
from ushydra_lab.figures.style import colours_of

ABREAST, INCHES = 4, 2.7


@dataclass(frozen=True, eq=False)
class Panel:
    """The landmarks of one site.

    places (N, landmarks, 2): in widths and heights of the image, NaN where missing; aspect: the median height of its
    images, in widths.
    """

    places: Floats
    aspect: float


def panels(table: pd.DataFrame, annotation: Annotation) -> dict[str, Panel]:
    """Site -> its rows of known image size that have some landmark; sites without any are left out."""
    size = table[["width", "height"]].to_numpy(float)
    places = table[list(annotation.columns)].to_numpy(float).reshape(len(table), -1, 2) / size[:, None]
    shown = np.isfinite(places).all(axis=2).any(axis=1)
    rows = {site: own[shown[own]] for site, own in by_site(table).items()}
    return {s: Panel(places[own], float(np.median(size[own, 1] / size[own, 0]))) for s, own in rows.items() if len(own)}


def pictures(table: pd.DataFrame) -> dict[str, str]:
    """A figure, as a data URI (PNG), of every kind of landmarks that some row has: annotation's name -> figure."""
    uris = {}
    for annotation in annotations(table.columns).values():
        if annotation.kind == "points" and (figure := draw_density(table, annotation)):
            stored = io.BytesIO()
            figure.savefig(stored, format="png", dpi=120)
            uris[annotation.name] = "data:image/png;base64," + base64.b64encode(stored.getvalue()).decode()
    return uris


def draw_density(table: pd.DataFrame, annotation: Annotation) -> Figure | None:
    """The figure of one kind of landmarks; None where no row has any."""
    found = panels(table, annotation)
    return draw(found, [column[:-2].upper() for column in annotation.columns[::2]]) if found else None


def draw(panels_by_site: dict[str, Panel], names: list[str]) -> Figure:
    """Draw one panel per site and one colour per landmark; those that lie outside their image are drawn at its edge."""
    down = ceil(len(panels_by_site) / ABREAST)
    abreast = ceil(len(panels_by_site) / down)
    aspects = np.pad([panel.aspect for panel in panels_by_site.values()], (0, down * abreast - len(panels_by_site)))
    heights = INCHES * aspects.reshape(down, abreast).max(axis=1) + 0.7
    figure = Figure(figsize=(INCHES * max(abreast, 1.5) + 0.6, heights.sum() + 0.3), layout="constrained")
    axes = figure.subplots(down, abreast, squeeze=False, gridspec_kw={"height_ratios": heights}).ravel()
    colours = colours_of(names)
    for (site, panel), axis in zip(panels_by_site.items(), axes, strict=False):
        _scatter(axis, panel, list(colours.values()))
        axis.set_title(f"{site}: {len(panel.places)} images", fontsize=9, parse_math=False)
    for axis in axes[len(panels_by_site) :]:
        axis.remove()
    keys = [Line2D([], [], marker="o", linestyle="", color=colour, label=name) for name, colour in colours.items()]
    figure.legend(handles=keys, loc="outside upper center", ncols=len(keys), frameon=False, fontsize=9)
    return figure


def _scatter(axis: Axes, panel: Panel, colours: list[str]) -> None:
    """Image by image, so that no landmark's dots cover another's as a whole; fainter where there are many."""
    dots, inks = panel.places.reshape(-1, 2).clip(0, 1), np.tile(colours, len(panel.places))
    seen, alpha = np.isfinite(dots).all(axis=1), float(np.clip((120 / len(panel.places)) ** 0.5, 0.15, 0.8))
    axis.scatter(dots[seen, 0], dots[seen, 1], s=12, c=inks[seen], alpha=alpha, linewidths=0, clip_on=False)
    axis.set(xlim=(0, 1), ylim=(1, 0), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], aspect=panel.aspect)
    axis.set_xlabel("x (share of the width)", fontsize=9)
    axis.set_ylabel("y (share of the height)", fontsize=9)
    axis.tick_params(labelsize=8)
