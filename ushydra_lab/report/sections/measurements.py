"""Agreement of measured lengths with the reference: Bland-Altman tables and figures."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ushydra_lab.files import write_csv
from ushydra_lab.report.document import Document, Heading, Table, save_figure
from ushydra_lab.report.sections.measurement_figures import FIGURE_CAPTION, Agreements, draw
from ushydra_lab.report.tables import methods_in, spread_cell
from ushydra_lab.results.agreement import icc
from ushydra_lab.results.repeats import Interval, RepeatedAgreement, bland_altman_repeated
from ushydra_lab.tasks.columns import SINGLE, Acceptable

NAMES = {"ofd": "OFD", "bpd": "BPD", "hc": "head circumference"}
"""What columns NAME_mm (or _px), measured, and NAME_true_mm, the reference, are of."""

CAPTION_MM = (
    "Error: measured minus reference, on the images of one seed. Bias, mean over images, and 95 % limits of agreement "
    "(bias ∓ 1.96 SD, variances between and within subjects added: Bland and Altman 2007), each with its 95 % "
    "interval, whose unit is the subject. Proportional bias: by how much the error changes per unit of the length; ‡ "
    "where its interval leaves out 0. The limits take the errors for normally distributed, and a few gross failures "
    "widen them: compare the middle 95 % of the errors (2.5 to 97.5 percentile), the number of images outside the "
    "limits and the largest error. Mean and median |error|: without sign, also in per cent of the reference. ICC(A,1) "
    "of both, two-way, absolute agreement."
)
POINTS = {f"distance_{name}": name.upper().replace("_", " ") for name in ("ofd_1", "ofd_2", "bpd_1", "bpd_2")}
"""What columns NAME_mm (or _px) are of: distances of predicted from true end points."""
POINTS_CAPTION = (
    "Mean distance of each end point from the reference, and NME over the reference length of the diameter itself; "
    "mean ± SD over seeds (ddof 1)."
)
CAPTION = {"mm": CAPTION_MM, "px": "No pixel spacing is known, so lengths are in px of the images. " + CAPTION_MM}


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
    return [Heading(title, 4), Table(errors), Table(limits, CAPTION[unit] + accepted_note(name, unit)), picture]


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
        (method, int(str(seed))): _agreement(chosen, name, unit)
        for method in methods_in(images)
        for seed, chosen in images[images["method"] == method].groupby("seed")
    }


def _agreement(images: pd.DataFrame, name: str, unit: str) -> RepeatedAgreement:
    measured, true, accepted = images[f"{name}_{unit}"], images[f"{name}_true_{unit}"], acceptable(name, unit)
    subjects = images.groupby(["site", "subject"]).ngroup()
    if accepted is None or accepted.unit == unit:
        return bland_altman_repeated(measured, true, subjects, accepted.size if accepted else None)
    in_percent = bland_altman_repeated(100 * measured / true, np.full(len(true), 100.0), subjects, accepted.size)
    return replace(bland_altman_repeated(measured, true, subjects), acceptable=in_percent.acceptable)


def acceptable(name: str, unit: str) -> Acceptable | None:
    """The declared limits of a measurement's error, where they can be told in this unit or in per cent."""
    declared = SINGLE[f"{name}_{unit}"].acceptable
    return declared if declared and declared.unit in (unit, "%") else None


def accepted_title(name: str, unit: str) -> str:
    """'within ±3 %'; '' where no limits are declared."""
    declared = acceptable(name, unit)
    return f"within ±{declared.size:g} {declared.unit}" if declared else ""


def accepted_note(name: str, unit: str) -> str:
    """What a caption says of the declared limits, and where they come from."""
    declared = acceptable(name, unit)
    of = " of the reference" if declared and declared.unit == "%" else ""
    return (
        f" {accepted_title(name, unit).capitalize()}{of}: whether both limits of agreement are, by the outer ends of "
        f"their intervals ({declared.source})."
        if declared
        else ""
    )


def cells(limits_by_run: Agreements, images: pd.DataFrame, name: str, unit: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables with a row per method and seed, errors and limits of agreement: together they are too wide for a page.

    images: those with a reference, measured or not.
    """
    errors, of_limits = [], []
    for (method, seed), limits in limits_by_run.items():
        chosen = images[(images["method"] == method) & (images["seed"] == seed)]
        true = chosen[f"{name}_true_{unit}"]
        error = (chosen[f"{name}_{unit}"] - true).dropna()
        off, percent = error.abs(), 100 * error.abs() / true
        measured = str(limits.n) if limits.n == len(chosen) else f"{limits.n} of {len(chosen)}"
        who = {"method": method, "seed": str(seed)}
        row = who | {"images": measured, "subjects": str(limits.subjects)}
        row[f"middle 95 % ({unit})"] = "{:+.2f} to {:+.2f}".format(*np.percentile(error, [2.5, 97.5]))
        row[f"largest error ({unit})"] = f"{error.iloc[int(off.argmax())]:+.2f}"
        row[f"mean |error| ({unit})"] = f"{off.mean():.2f} ({percent.mean():.2f} %)"
        row[f"median |error| ({unit})"] = f"{off.median():.2f} ({percent.median():.2f} %)"
        row["ICC"] = f"{icc(chosen[[f'{name}_{unit}', f'{name}_true_{unit}']].to_numpy(float)).icc:.3f}"
        errors.append(row)
        outside = int(((error < limits.low) | (error > limits.high)).sum())
        of_limits.append(who | _limit_cells(limits, unit, outside, accepted_title(name, unit)))
    return pd.DataFrame(errors), pd.DataFrame(of_limits)


def _limit_cells(limits: RepeatedAgreement, unit: str, outside: int, accepted: str) -> dict[str, str]:
    cells = {
        f"{title} ({unit})": _with_interval(getattr(limits, of), getattr(limits, f"{of}_interval"), 2)
        for of, title in (("bias", "bias"), ("low", "lower limit"), ("high", "upper limit"))
    }
    share = f"{outside} ({100 * outside / limits.n:.1f} %)"
    cells["outside the limits"] = "n/a" if np.isnan(limits.low) else share
    slope = _with_interval(limits.slope, limits.slope_interval, 3)
    cells["proportional bias"] = slope.replace("\n", "‡\n") if limits.proportional else slope
    return cells | ({accepted: accepted_cell([limits])} if accepted else {})


def accepted_cell(of_seeds: list[RepeatedAgreement]) -> str:
    """'yes' or 'no', for several seeds '1 of 2 seeds'; n/a without limits of agreement."""
    known = [limits.acceptable for limits in of_seeds if limits.acceptable is not None]
    if not known:
        return "n/a"
    return f"{sum(known)} of {len(known)} seeds" if len(of_seeds) > 1 else "yes" if known[0] else "no"


def _with_interval(value: float, interval: Interval, digits: int) -> str:
    if np.isnan(value):
        return "n/a"
    ends = "no interval" if np.isnan(interval[0]) else "{0:+.{2}f}, {1:+.{2}f}".format(*interval, digits)
    return f"{value:+.{digits}f}\n[{ends}]"


def _flat(limits: RepeatedAgreement) -> dict[str, float]:
    """The limits of agreement for CSV, each interval as two numbers."""
    flat: dict[str, float] = {}
    for name, value in asdict(limits).items():
        if isinstance(value, tuple):
            flat[f"{name}_low"], flat[f"{name}_high"] = value
        else:
            flat[name] = value
    return flat
