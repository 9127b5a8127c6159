"""Agreement of measured lengths with the reference: Bland-Altman tables and figures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ushydra_lab.figures.style import colours_of
from ushydra_lab.files import write_csv
from ushydra_lab.report.document import Document, Heading, Table, save_figure
from ushydra_lab.report.tables import methods_in, spread_cell
from ushydra_lab.results.agreement import BlandAltman, bland_altman, icc

NAMES = {"ofd": "OFD", "bpd": "BPD", "hc": "head circumference"}
"""What columns NAME_mm (or _px), measured, and NAME_true_mm, the reference, are of."""

LINES = {"bias": "-", "low": "--", "high": "--"}
CAPTION_MM = (
    "Error: measured minus reference, on the images of one seed. Bias and 95 % limits of agreement (bias ∓ 1.96 SD), "
    "each with its 95 % interval. The limits take the errors for normally distributed, and a few gross failures widen "
    "them: compare the middle 95 % of the errors (2.5 to 97.5 percentile), the number of images outside the limits and "
    "the largest error. Mean and median |error|: without sign, also in per cent of the reference. ICC(A,1) of both, "
    "two-way, absolute agreement."
)
FIGURE_CAPTION = (
    "Each point is an image; solid: bias, dashed: limits of agreement. Triangles at the edge: errors beyond the axis, "
    "as many as the panel's title says, and how far they reach."
)
POINTS = {f"distance_{name}": name.upper().replace("_", " ") for name in ("ofd_1", "ofd_2", "bpd_1", "bpd_2")}
"""What columns NAME_mm (or _px) are of: distances of predicted from true end points."""
POINTS_CAPTION = (
    "Mean distance of each end point from the reference, and NME over the reference length of the diameter itself; "
    "mean ± SD over seeds (ddof 1)."
)
CAPTION = {"mm": CAPTION_MM, "px": "No pixel spacing is known, so lengths are in px of the images. " + CAPTION_MM}
Agreements = dict[tuple[str, int], BlandAltman]
"""Of each method and seed."""


def section(images: pd.DataFrame, file: Path) -> Document:
    """A table and a figure for each measurement of the images of one part; empty where nothing is measured.

    Files' names begin with that of `file`.
    """
    measured = [block for name in NAMES for block in _measurement(images, name, unit_of(images, name), file)]
    return [*measured, *_end_points(images, file)]


def unit_of(images: pd.DataFrame, name: str) -> str:
    """The unit of a measurement: mm where any image has a reference in mm, else px."""
    true = f"{name}_true_mm"
    return "mm" if true in images and images[true].notna().any() else "px"


def _measurement(images: pd.DataFrame, name: str, unit: str, file: Path) -> Document:
    columns = [f"{name}_{unit}", f"{name}_true_{unit}"]
    if not {*columns} <= {*images} or (pairs := images.dropna(subset=columns)).empty:
        return []
    known = images.dropna(subset=columns[1:])
    found, file = agreements(pairs, name, unit), file.with_name(f"{file.name}_{name}")
    rows = [{"method": method, "seed": seed, **_flat(limits)} for (method, seed), limits in found.items()]
    write_csv(file.with_name(f"{file.name}_agreement.csv"), pd.DataFrame(rows))
    title = f"Agreement of the {NAMES[name]} with the reference"
    picture = save_figure(
        draw(pairs, name, unit, found), file.with_name(f"{file.name}_agreement"), title, FIGURE_CAPTION
    )
    errors, limits = cells(found, known, name, unit)
    return [Heading(title, 4), Table(errors), Table(limits, CAPTION[unit]), picture]


def _end_points(images: pd.DataFrame, file: Path) -> Document:
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
    return [Heading("End points", 4), Table(table, POINTS_CAPTION)]


def agreements(images: pd.DataFrame, name: str, unit: str) -> Agreements:
    """Bland-Altman agreement of each method and seed, over images that were measured and have a reference."""
    return {
        (method, int(str(seed))): bland_altman(chosen[f"{name}_{unit}"], chosen[f"{name}_true_{unit}"])
        for method in methods_in(images)
        for seed, chosen in images[images["method"] == method].groupby("seed")
    }


def cells(limits_by_run: Agreements, images: pd.DataFrame, name: str, unit: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables with a row per method and seed, errors and limits of agreement: together they are too wide for a page.

    images: those with a reference, measured or not.
    """
    errors, of_limits = [], []
    for (method, seed), limits in limits_by_run.items():
        chosen = images[(images["method"] == method) & (images["seed"] == seed)]
        true = chosen[f"{name}_true_{unit}"]
        off = (chosen[f"{name}_{unit}"] - true).abs()
        measured = str(limits.n) if limits.n == len(chosen) else f"{limits.n} of {len(chosen)}"
        who = {"method": method, "seed": str(seed)}
        row = who | {"images": measured, f"middle 95 % ({unit})": "{:+.2f} to {:+.2f}".format(*limits.middle)}
        row[f"largest error ({unit})"] = f"{limits.furthest:+.2f}"
        percent = 100 * off / true
        row[f"mean |error| ({unit})"] = f"{off.mean():.2f} ({percent.mean():.2f} %)"
        row[f"median |error| ({unit})"] = f"{off.median():.2f} ({percent.median():.2f} %)"
        row["ICC"] = f"{icc(chosen[[f'{name}_{unit}', f'{name}_true_{unit}']].to_numpy(float)).icc:.3f}"
        errors.append(row)
        of_limits.append(who | _limit_cells(limits, unit))
    return pd.DataFrame(errors), pd.DataFrame(of_limits)


def _limit_cells(limits: BlandAltman, unit: str) -> dict[str, str]:
    cells = {}
    for of, title in (("bias", "bias"), ("low", "lower limit"), ("high", "upper limit")):
        low, high = getattr(limits, f"{of}_interval")
        cells[f"{title} ({unit})"] = f"{getattr(limits, of):+.2f}\n[{low:+.2f}, {high:+.2f}]"
    cells["outside the limits"] = f"{limits.outside} ({limits.outside / limits.n:.1%})".replace("%", " %")
    return cells


def _flat(limits: BlandAltman) -> dict[str, float]:
    """The limits of agreement for CSV, each interval as two numbers."""
    flat: dict[str, float] = {}
    for name, value in asdict(limits).items():
        if isinstance(value, tuple):
            flat[f"{name}_low"], flat[f"{name}_high"] = value
        else:
            flat[name] = value
    return flat


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
    low, high = (
        min(limits.low for limits in limits_by_run.values()),
        max(limits.high for limits in limits_by_run.values()),
    )
    return low - (high - low) / 2, high + (high - low) / 2


def _beyond(errors: pd.Series, ends: tuple[float, float], unit: str) -> str:
    """A second line of a title; nothing where all errors lie between the ends of the axis."""
    below, above = errors[errors < ends[0]], errors[errors > ends[1]]
    parts = [f"{len(below)} below (to {below.min():+.1f} {unit})"] * (not below.empty)
    parts += [f"{len(above)} above (to {above.max():+.1f} {unit})"] * (not above.empty)
    return "\n" + ", ".join(parts).replace("-", "−") if parts else ""


def _panel(
    axis: Axes, mean: pd.Series, error: pd.Series, limits: BlandAltman, ends: tuple[float, float], colour: str
) -> None:
    below, above = error < ends[0], error > ends[1]
    for marker, size, rows in (("o", 9, ~below & ~above), ("v", 36, below), ("^", 36, above)):
        if rows.any():
            shown = error[rows].clip(*ends)
            axis.scatter(mean[rows], shown, size, color=colour, marker=marker, alpha=0.7, linewidths=0)
    for of, style in LINES.items():
        axis.axhline(getattr(limits, of), linestyle=style, color=colour, linewidth=1)
