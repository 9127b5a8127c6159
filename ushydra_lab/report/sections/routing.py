"""System 3's router report: which decoder each image went to, the cost, and each decoder's result by quality."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ushydra_lab.files import write_csv
from ushydra_lab.metrics.classification import Codes
from ushydra_lab.report.document import Document, Heading, Table, save_figure
from ushydra_lab.report.sections.classification import draw_matrix
from ushydra_lab.report.tables import methods_in, spread_cell
from ushydra_lab.tasks.columns import members

UNKNOWN = "none"
ROUTERS_CAPTION = (
    "Mean ± SD over seeds (ddof 1). Routed as labelled: share of images that went to the decoder of their own "
    "quality, of all and of each quality. Score: accuracy or Dice of the answer. Regret: score by the decoder of the "
    "image's own quality, or by whichever is best, minus the answer's."
)
DECODERS_CAPTION = (
    "Mean score (accuracy or Dice; ± SD over seeds) of the images of each site by each decoder, trained on one quality."
)
ROUTES = "Routes"
ROUTES_CAPTION = (
    f"Images of all seeds by their own quality (row; {UNKNOWN}: one without a decoder) and the decoder they went to."
)


def section(images: pd.DataFrame, file: Path) -> Document:
    """Tables and a figure for the images of one part; empty for images that were not routed."""
    qualities = qualities_in(images)
    routed = images.dropna(subset=["route", f"score_{qualities[0]}"]) if qualities else images[:0]
    if routed.empty:
        return []
    tables = {
        "routers": ("Routers", routers_table(routed, qualities), ROUTERS_CAPTION),
        "decoders": ("Decoders", decoders_table(routed, qualities), DECODERS_CAPTION),
    }
    blocks: Document = []
    for name, (title, table, caption) in tables.items():
        write_csv(file.with_name(f"{file.name}_{name}.csv"), table)
        blocks += [Heading(title, 4), Table(table, caption)]
    return [
        *blocks,
        save_figure(draw(routed, qualities), file.with_name(f"{file.name}_routes"), ROUTES, ROUTES_CAPTION),
    ]


def qualities_in(images: pd.DataFrame) -> list[str]:
    """The qualities that the decoders were trained on, in the order of the decoders' codes."""
    return members(images, "score")


def routers_table(images: pd.DataFrame, qualities: list[str]) -> pd.DataFrame:
    """Accuracy and cost of the routers, one row per method."""
    rows = []
    for method in methods_in(images):
        chosen = images[images["method"] == method]
        row = {"method": method, "routed as labelled": spread_cell(chosen, "router_hit", 3)}
        for code, quality in enumerate(qualities):
            row[f"... of {quality}"] = spread_cell(chosen[chosen["domain"] == code], "router_hit", 3)
        titles = {"score": "score", "regret": "regret", "regret_best": "regret against the best"}
        rows.append(row | {title: spread_cell(chosen, column, 3) for column, title in titles.items()})
    return pd.DataFrame(rows)


def decoders_table(images: pd.DataFrame, qualities: list[str]) -> pd.DataFrame:
    """Every decoder's score, one row per method and site; methods that share decoders appear once, under the first."""
    columns = {f"score_{quality}": f"by {quality}" for quality in qualities}
    rows = [
        {"method": method, "images of": site} | {title: spread_cell(chosen, name, 3) for name, title in columns.items()}
        for method in methods_in(images)
        for site, chosen in images[images["method"] == method].groupby("site")
    ]
    table = pd.DataFrame(rows)
    return table.drop_duplicates([name for name in table if name != "method"])


def confusion(images: pd.DataFrame, qualities: list[str]) -> Codes:
    """Count images by quality (rows; the last: a quality without decoder) and by the decoder they went to (columns)."""
    counts = np.zeros((len(qualities) + 1, len(qualities)), int)
    np.add.at(counts, (images["domain"].astype(int), images["route"].astype(int)), 1)  # -1 is the last row
    return counts


def draw(images: pd.DataFrame, qualities: list[str]) -> Figure:
    """Draw the routes, one panel per method."""
    methods = methods_in(images)
    side = 0.45 * len(qualities) + 0.9
    figure = Figure(figsize=(side * len(methods) + 0.6, side + 0.8), layout="constrained")
    for method, axis in zip(methods, figure.subplots(1, len(methods), squeeze=False, sharey=True)[0], strict=True):
        matrix = confusion(images[images["method"] == method], qualities)
        draw_matrix(axis, matrix, [*qualities, UNKNOWN], qualities)
        axis.set_title(method, fontsize=8, parse_math=False)
    return figure
