"""Audit of units: spacings and lengths that differ by a factor from those of their site, or from the geometry."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ushydra_lab.audit.flags import Finding, Flag, by_site, positions
from ushydra_lab.audit.outliers import Floats, log_deviation
from ushydra_lab.data import checks
from ushydra_lab.data.geometry import diameters
from ushydra_lab.data.vocabulary import ANNOTATIONS, SITE
from ushydra_lab.geometry.ellipse import perimeter

FEWEST = 5  # rows of a site for a median
FACTOR, DEVIATIONS, EVEN = 5.0, 6.0, 0.1  # EVEN: robust standard deviation of log values that is always allowed
BPD_MM = 10.0, 120.0  # 10 weeks to term, with a margin
HC_ERROR = 0.05
FIELD_MM = 10.0, 500.0  # an enlarged NT region; a sector 30 cm deep with a scanner's frame around it
TYPICAL_MM = {"nt_mm": (0.5, 10.0), "hc_mm": (50.0, 400.0)}  # medians of a site
COMMONEST, ALONE = 0.5, 0.005  # shares of a site's images

TYPICAL = ", ".join(f"{name} {low:g} to {high:g} mm" for name, (low, high) in TYPICAL_MM.items())
METHOD = (
    f"Spacing and lengths in mm against the median of their site ({FEWEST} rows at least): a factor of {FACTOR:g}; "
    f"spacing also {DEVIATIONS:g} robust standard deviations of the logarithm (1.4826 MAD, at least {EVEN:g}). The "
    "medians of two sites: the same factor, as a whole site may be in another unit; where they agree, medians outside "
    f"{TYPICAL}. Against the geometry: images "
    f"{FIELD_MM[0]:g} to {FIELD_MM[1]:g} mm wide by pixel_mm x width, from an enlarged nuchal region to the widest "
    "sector, 30 cm deep, with a scanner's frame around it; BPD from landmarks and spacing within "
    f"{BPD_MM[0]:g} to {BPD_MM[1]:g} mm; hc_mm within {100 * HC_ERROR:g} % of the perimeter of the "
    "ellipse with axes OFD and BPD; nt_mm no longer than the diagonal of its box."
)
SIZE_METHOD = (
    f"Where one image size makes up at least {100 * COMMONEST:g} % of a site: sizes of one image, or of less than "
    f"{100 * ALONE:g} % of the images."
)


def audit(table: pd.DataFrame) -> list[Finding]:
    """Units of spacing and lengths; images of a size that stands alone."""
    whole: list[Flag] = []
    flags: list[Flag] = []
    for name, annotation in ANNOTATIONS.items():
        if annotation.kind in ("number", "spacing") and name in table:
            for rows in by_site(table).values():
                flags += _against_site(table, name, annotation.unit, rows)
            between = [*_between_sites(table, name, annotation.unit)] if annotation.unit else []
            whole += between or (_untypical(table, name) if name in TYPICAL_MM else [])
    whole += _fields(table) if "pixel_mm" in table else []
    units = Finding("units", "Numbers that may be in another unit", METHOD, [*whole, *_against_geometry(table), *flags])
    return [units, Finding("sizes", "Image sizes that stand alone", SIZE_METHOD, list(_lonely_sizes(table)))]


def _against_site(table: pd.DataFrame, name: str, unit: str, rows: np.ndarray) -> Iterator[Flag]:
    values = table[name].iloc[rows].to_numpy(float)
    values = np.where(values > 0, values, np.nan)
    if np.isfinite(values).sum() < FEWEST:
        return
    away, deviations = log_deviation(values, EVEN)
    middle = float(np.nanmedian(values))
    uneven = (np.abs(deviations) > DEVIATIONS) & (name == "pixel_mm")  # lengths grow with the fetus, a machine does not
    for i in positions((np.abs(away) > np.log(FACTOR)) | uneven):
        row = int(rows[i])
        times = f"{np.exp(away[i]):.3g} times the median {middle:.3g} of site {table[SITE].iat[row]}"
        hint = _unit_hint(float(values[i]), middle) if name == "pixel_mm" else ""
        text = f"{checks.place(table, row)}: {name} = {values[i]:g} {unit} is {times}{hint}"
        yield Flag(text, (row,))


def _between_sites(table: pd.DataFrame, name: str, unit: str) -> Iterator[Flag]:
    values = table[name].where(table[name] > 0)
    medians = values.groupby(table[SITE]).median().dropna().sort_values()
    if len(medians) < 2 or medians.iloc[-1] <= FACTOR * medians.iloc[0]:
        return
    hints = ""
    for site, middle in medians.items() if name == "pixel_mm" else ():
        others = float(np.exp(np.median(np.log(medians.drop(site)))))
        if max(middle / others, others / middle) > FACTOR and (hint := _unit_hint(float(middle), others)):
            hints += f"; {site}{hint.removeprefix(';')}"
    listed = ", ".join(f"{site} {middle:.3g}" for site, middle in medians.items())
    times = medians.iloc[-1] / medians.iloc[0]
    yield Flag(f"the sites' medians of {name} differ by a factor of {times:.3g}: {listed} {unit}; one unit?{hints}")


def _untypical(table: pd.DataFrame, name: str) -> Iterator[Flag]:
    low, high = TYPICAL_MM[name]
    for site, rows in by_site(table).items():
        values = table[name].iloc[rows].dropna()
        middle = float(values.median()) if len(values) >= FEWEST else low
        if not low <= middle <= high:
            word, factor = ("cm", 10) if middle < low else ("1/10 mm", 0.1)
            read = f": in {word} it would be {factor * middle:.3g} mm" if low <= factor * middle <= high else ""
            yield Flag(f"site {site}: the median of {name} is {middle:.3g} mm; usual are {low:g} to {high:g} mm{read}")


def _fields(table: pd.DataFrame) -> Iterator[Flag]:
    """Site by site, since a unit is wrong for a whole site more often than for a row."""
    wide = (table["pixel_mm"] * table["width"]).to_numpy(float)
    low, high = FIELD_MM
    for site, rows in by_site(table).items():
        odd = rows[(wide[rows] < low) | (wide[rows] > high)]
        if len(odd):
            span = " to ".join(dict.fromkeys(f"{end:.3g}" for end in (wide[odd].min(), wide[odd].max())))
            known = int(np.isfinite(wide[rows]).sum())
            text = f"site {site}: {len(odd)} of {known} images would be {span} mm wide by pixel_mm x width"
            middle = float(np.median(wide[odd]))
            read = {word: f * middle for word, f in (("cm", 10), ("1/10 mm", 0.1)) if low <= f * middle <= high}
            hint = "".join(f" In {word} per px they would be {mm:.3g} mm wide" for word, mm in read.items())
            text += f"; plausible are {low:g} to {high:g} mm: is pixel_mm in mm per px?{hint}"
            yield Flag(text, tuple(map(int, odd)))


def _unit_hint(value: float, middle: float) -> str:
    readings = {
        "cm per px": 10 * value,
        "px per mm": 1 / value,
        "1/10 mm per px": value / 10,
        "\N{MICRO SIGN}m per px": value / 1000,
        "px per cm": 10 / value,
    }
    word, read = min(readings.items(), key=lambda item: abs(np.log(item[1] / middle)))
    return f"; as {word} it would be {read:.3g} mm per px" if abs(np.log(read / middle)) < np.log(2) else ""


def _against_geometry(table: pd.DataFrame) -> Iterator[Flag]:
    columns = set(table)
    if "pixel_mm" not in columns:
        return
    spacing = table["pixel_mm"].to_numpy(float)
    if set(ANNOTATIONS["landmarks"].columns) <= columns:
        long, short = np.sort(diameters(table), axis=1)[:, ::-1].T * spacing
        yield from _flags(
            table, (short < BPD_MM[0]) | (short > BPD_MM[1]), "BPD is {0:.1f} mm by landmarks and spacing", short
        )
        if "hc_mm" in columns:
            stated, found = table["hc_mm"].to_numpy(float), perimeter(long / 2, short / 2)
            off = np.abs(stated / found - 1) > HC_ERROR
            yield from _flags(
                table, off, "hc_mm = {0:g}, by landmarks and spacing the circumference is {1:.1f} mm", stated, found
            )
    if {"nt_mm", *ANNOTATIONS["nt_box"].columns} <= columns:
        x1, y1, x2, y2 = table[list(ANNOTATIONS["nt_box"].columns)].to_numpy(float).T
        stated, diagonal = table["nt_mm"].to_numpy(float), np.hypot(x2 - x1, y2 - y1) * spacing
        text = "nt_mm = {0:g} is more than the {1:.1f} mm from corner to corner of nt_box"
        yield from _flags(table, stated > diagonal, text, stated, diagonal)


def _flags(table: pd.DataFrame, chosen: np.ndarray, text: str, *values: Floats) -> Iterator[Flag]:
    for row in positions(chosen):
        shown = text.format(*(value[row] for value in values))
        yield Flag(f"{checks.place(table, row)}: {shown}; is one of them in px, or the spacing wrong?", (row,))


def _lonely_sizes(table: pd.DataFrame) -> Iterator[Flag]:
    known = table[table["height"].notna()]
    sizes = known.groupby([SITE, "width", "height"]).size()
    shares = known[[SITE, "width", "height"]].join(sizes.rename("count"), on=[SITE, "width", "height"])
    images = shares.groupby(SITE)["count"].transform("size")
    commonest = shares.groupby(SITE)["count"].transform("max")
    few = (shares["count"] == 1) | (shares["count"] < ALONE * images)
    alone = few & (commonest >= COMMONEST * images) & (commonest > FEWEST)
    rows = pd.Series(positions(alone.reindex(table.index, fill_value=False).to_numpy(bool)), dtype=int)
    for site, own in rows.groupby(table[SITE].iloc[rows].to_numpy()):
        counts = known[known[SITE] == site].groupby(["width", "height"]).size().sort_values(ascending=False)
        listed = ", ".join(dict.fromkeys(_size(table, row) for row in own))
        usual = " x ".join(f"{px:g}" for px in counts.index.to_list()[0])
        text = f"{len(own)} of {counts.sum()} images have sizes that stand alone beside {usual} px"
        yield Flag(f"site {site}: {text}: {listed}; from {checks.place(table, own.iloc[0])}", tuple(map(int, own)))


def _size(table: pd.DataFrame, row: int) -> str:
    width, height = table[["width", "height"]].iloc[row]
    return f"{width:g} x {height:g}"
