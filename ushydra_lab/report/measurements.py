"""Measured lengths against the expert's: tables and figures of Bland and Altman."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ushydra_lab.report.agreement import BlandAltman, bland_altman, icc
from ushydra_lab.report.figures import colours_of, save
from ushydra_lab.report.tables import markdown, methods_in, spread_cell
from ushydra_lab.runs.files import write_csv

NAMES = {"ofd": "OFD", "bpd": "BPD", "hc": "head circumference"}
"""What columns NAME_mm (or _px), measured, and NAME_true_mm, the expert's, are of."""

LINES = {"bias": "-", "low": "--", "high": "--"}
CAPTION_MM = (
    "Measured minus the expert's, on the images of one seed: bias and 95 % limits of agreement (bias ∓ 1.96 SD), "
    "each with its 95 % interval; mean and median of its absolute value, also in per cent of the expert's; ICC(A,1) of "
    "both, two-way, absolute agreement."
)
POINTS = {f"distance_{name}": name.upper().replace("_", " ") for name in ("ofd_1", "ofd_2", "bpd_1", "bpd_2")}
"""What columns NAME_mm (or _px) are of: distances of predicted from true end points."""
POINTS_CAPTION = (
    "Mean distance of each end point from the expert's, and NME over the true length of the diameter itself; "
    "mean ± SD over seeds (ddof 1)."
)
CAPTION = {"mm": CAPTION_MM, "px": "No pixel spacing is known, so lengths are in px of the images. " + CAPTION_MM}
Agreements = dict[tuple[str, int], BlandAltman]
"""Of each method and seed."""


def section(images: pd.DataFrame, file: Path) -> list[str]:
    """A table and a figure of each measurement of the images of one part, as Markdown; nothing where there is none.

    Files' names begin with that of `file`.
    """
    measured = [text for name in NAMES for text in _measurement(images, name, unit_of(images, name), file)]
    return [*measured, *_end_points(images, file)]


def unit_of(images: pd.DataFrame, name: str) -> str:
    """mm where any image has the expert's value in mm, else px."""
    true = f"{name}_true_mm"
    return "mm" if true in images and images[true].notna().any() else "px"


def _measurement(images: pd.DataFrame, name: str, unit: str, file: Path) -> list[str]:
    columns = [f"{name}_{unit}", f"{name}_true_{unit}"]
    if not {*columns} <= {*images} or (pairs := images.dropna(subset=columns)).empty:
        return []
    found, file = agreements(pairs, name, unit), file.with_name(f"{file.name}_{name}")
    rows = [{"method": method, "seed": seed, **_flat(limits)} for (method, seed), limits in found.items()]
    write_csv(file.with_name(f"{file.name}_agreement.csv"), pd.DataFrame(rows))
    title = f"Agreement of the {NAMES[name]} with the expert's"
    picture = save(draw(pairs, name, unit, found), file.with_name(f"{file.name}_agreement"), title)
    return [f"#### {title}\n", markdown(cells(found, pairs, name, unit)) + "\n", f"{CAPTION[unit]}\n", picture]


def _end_points(images: pd.DataFrame, file: Path) -> list[str]:
    unit = unit_of(images, "ofd")
    columns = {f"{column}_{unit}": f"{title} ({unit})" for column, title in POINTS.items()}
    columns |= {f"{name}_nme": f"{NAMES[name]} NME" for name in ("ofd", "bpd")}
    if not {*columns} <= {*images}:
        return []
    digits = {title: 4 if title.endswith("NME") else 2 for title in columns.values()}
    rows = [
        {"method": method} | {title: spread_cell(chosen, column, digits[title]) for column, title in columns.items()}
        for method in methods_in(images)
        for chosen in [images[images["method"] == method]]
    ]
    table = pd.DataFrame(rows)
    write_csv(file.with_name(f"{file.name}_end_points.csv"), table)
    return ["#### End points\n", markdown(table) + "\n", f"{POINTS_CAPTION}\n"]


def agreements(images: pd.DataFrame, name: str, unit: str) -> Agreements:
    """Of the images that were measured, by the expert too."""
    return {
        (method, int(str(seed))): bland_altman(chosen[f"{name}_{unit}"], chosen[f"{name}_true_{unit}"])
        for method in methods_in(images)
        for seed, chosen in images[images["method"] == method].groupby("seed")
    }


def cells(found: Agreements, images: pd.DataFrame, name: str, unit: str) -> pd.DataFrame:
    """As readers see them, a row a method and seed."""
    rows = []
    for (method, seed), limits in found.items():
        chosen = images[(images["method"] == method) & (images["seed"] == seed)]
        true = chosen[f"{name}_true_{unit}"]
        off = (chosen[f"{name}_{unit}"] - true).abs()
        row = {"method": method, "seed": str(seed), "images": str(limits.n)}
        for of, title in (("bias", "bias"), ("low", "lower limit"), ("high", "upper limit")):
            low, high = getattr(limits, f"{of}_interval")
            row[f"{title} ({unit})"] = f"{getattr(limits, of):+.2f} [{low:+.2f}, {high:+.2f}]"
        row[f"mean |error| ({unit})"], row[f"median ({unit})"] = f"{off.mean():.2f}", f"{off.median():.2f}"
        percent = 100 * off / true
        row["mean (%)"], row["median (%)"] = f"{percent.mean():.2f}", f"{percent.median():.2f}"
        row["ICC"] = f"{icc(chosen[[f'{name}_{unit}', f'{name}_true_{unit}']].to_numpy(float)).icc:.3f}"
        rows.append(row)
    return pd.DataFrame(rows)


def _flat(limits: BlandAltman) -> dict[str, float]:
    """Each interval as two numbers."""
    flat: dict[str, float] = {}
    for name, value in asdict(limits).items():
        if isinstance(value, tuple):
            flat[f"{name}_low"], flat[f"{name}_high"] = value
        else:
            flat[name] = value
    return flat


def draw(images: pd.DataFrame, name: str, unit: str, found: Agreements) -> Figure:
    """A panel a method, a colour a seed: difference over mean, with bias (solid) and limits (dashed)."""
    methods = methods_in(images)
    figure = Figure(figsize=(3.6 * len(methods), 3.4), layout="constrained")
    axes = dict(zip(methods, figure.subplots(1, len(methods), sharex=True, sharey=True, squeeze=False)[0], strict=True))
    colours = colours_of(sorted(seed for _, seed in found))
    for (method, seed), limits in found.items():
        chosen = images[(images["method"] == method) & (images["seed"] == seed)]
        _panel(axes[method], chosen[f"{name}_{unit}"], chosen[f"{name}_true_{unit}"], limits, colours[seed])
    for method, axis in axes.items():
        axis.set_title(method, fontsize=9)
        axis.set_xlabel(f"mean of both {name.upper()} ({unit})")
        axis.grid(alpha=0.3)
    axes[methods[0]].set_ylabel(f"measured − expert's {name.upper()} ({unit})")
    handles = [
        Line2D([], [], color=colour, marker="o", markersize=3, label=f"seed {s}") for s, colour in colours.items()
    ]
    figure.legend(handles=handles, loc="outside right upper", fontsize=8)
    return figure


def _panel(axis: Axes, found: pd.Series, true: pd.Series, limits: BlandAltman, colour: str) -> None:
    axis.scatter((found + true) / 2, found - true, s=9, color=colour, alpha=0.7, linewidths=0)
    for of, style in LINES.items():
        axis.axhline(getattr(limits, of), linestyle=style, color=colour, linewidth=1)
