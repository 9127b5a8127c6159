"""In how many images the NT was measured, and how the automatic thickness agrees with the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ushydra_lab.files import write_csv
from ushydra_lab.report.comparisons import ALL_PAIRS
from ushydra_lab.report.document import Document, Heading, Table, save_figure
from ushydra_lab.report.sections.measurement_figures import FIGURE_CAPTION, Agreements, draw
from ushydra_lab.report.sections.measurements import accepted_cell, accepted_note, accepted_title, agreements
from ushydra_lab.report.tables import count_cell, methods_in, parts_in
from ushydra_lab.results.collect import Collected

MEASURED, REFERENCE, DRIFT = "nt_mm", "nt_true_mm", "nt_drift_mm"
IN_PX, LOST = "nt_px", "nt_lost"
ORIGINAL = "original"
IMAGES = {"val": "validation", "seen_test": "test, seen sites", "test": "test"}
TITLE = "NT thickness: automatic measurement against the reference"
COUNTED_TITLE = "NT thickness: images in which it was measured"
COUNTED_CAPTION = (
    "Images of all seeds. Measured: those whose original shows an NT that the caliper can measure; NT thickness and NT "
    "drift are of these alone. Lost: of these, the ones whose reconstruction shows none any more; they have no drift."
)
CAPTION = (
    "Automatic minus reference thickness, in the original images and in their reconstructions: bias (mean), SD "
    "(variances between and within subjects added: Bland and Altman 2007) and 95 % limits of agreement (bias ∓ 1.96 "
    "SD), each the mean over seeds of that of one seed's images. Not measured: images in which no NT was found. n: "
    "seeds x images with a reference. Reference: the thickness given with the images; in the embedded data set it is "
    "that of the fluid, inner border to inner border. NT drift in the other tables is something else: how far the "
    "measurement moves from an original to its reconstruction, whether it was right or not."
)


def section(collected: Collected, folder: Path) -> Document:
    """How often the NT was measured and, where there is a reference, the agreement with it; CSV go into `folder`."""
    return _counted(collected.images, folder) + _compared(collected, folder)


def _counted(images: pd.DataFrame, folder: Path) -> Document:
    """A row per held-out site, part and method; nothing where the caliper was not used."""
    if not {IN_PX, LOST} <= set(images):
        return []
    rows = []
    evaluated = images[images["part"].isin(IMAGES)]
    for (held_out, part), chosen in evaluated.groupby(["held_out", "part"], sort=False):
        for method in methods_in(chosen):
            own = chosen[chosen["method"] == method]
            measured = own[own[IN_PX].notna()]
            who = {"Held out": str(held_out), "Images": IMAGES[str(part)], "Method": method}
            lost = f"{int(measured[LOST].sum())} of {len(measured)}"
            rows.append(who | {"Measured": f"{len(measured)} of {len(own)}", "Lost": lost})
    table = pd.DataFrame(rows)
    write_csv(folder / "nt_measured.csv", table)
    return [Heading(COUNTED_TITLE, 2), Table(table, COUNTED_CAPTION)]


def _compared(collected: Collected, folder: Path) -> Document:
    """A table of all parts, and a figure of each held-out site's unseen images.

    No figure of more methods than can be compared in one. Nothing where no image has both a measured and a reference
    thickness in mm.
    """
    columns = {MEASURED, REFERENCE, DRIFT}
    if not columns <= set(collected.images) or collected.images[[MEASURED, REFERENCE]].dropna().empty:
        return []
    rows, figures = [], []
    for held_out, images in collected.images.dropna(subset=REFERENCE).groupby("held_out", sort=False):
        for part in parts_in(collected.images):
            chosen = with_originals(images[images["part"] == part])
            of_part = agreements(chosen, "nt", "mm")
            rows += [{"Held out": held_out, "Images": IMAGES[part]} | row for row in _rows(chosen, of_part)]
            if part == "test" and 0 < chosen["method"].nunique() <= ALL_PAIRS:
                picture = draw(chosen, "nt", "mm", of_part)
                name = folder / f"{held_out}_nt_agreement"
                figures.append(
                    save_figure(picture, name, f"NT thickness, unseen images, held out {held_out}", FIGURE_CAPTION)
                )
    table = pd.DataFrame(rows)
    write_csv(folder / "nt_caliper.csv", table)
    return [Heading(TITLE, 2), Table(table, CAPTION + accepted_note("nt", "mm")), *figures]


def with_originals(images: pd.DataFrame) -> pd.DataFrame:
    """Add each seed's originals as a method before the reconstructions; `nt_mm` is measured on the method's images.

    images: `nt_mm` of the original, `nt_drift_mm` how far its reconstruction is from that.
    """
    ordered = images.sort_values("stage", kind="stable")
    originals = ordered.drop_duplicates(["fold", "seed", "record"]).assign(method=ORIGINAL)
    return pd.concat([originals, ordered.assign(**{MEASURED: ordered[MEASURED] + ordered[DRIFT]})])


def _rows(images: pd.DataFrame, limits_by_run: Agreements) -> list[dict[str, str]]:
    rows = []
    for method in methods_in(images):
        own = [limits for (name, _), limits in limits_by_run.items() if name == method]
        chosen = images[images["method"] == method]
        bias, sd, low, high = (_mean([getattr(one, of) for one in own]) for of in ("bias", "sd", "low", "high"))
        rows.append(
            {
                "Measured in": str(method),
                "Bias (mm)": "n/a" if np.isnan(bias) else f"{bias:+.3f}",
                "SD (mm)": "n/a" if np.isnan(sd) else f"{sd:.3f}",
                "Limits of agreement (mm)": "n/a" if np.isnan(low) else f"{low:+.3f} to {high:+.3f}",
                accepted_title("nt", "mm").capitalize(): accepted_cell(own),
                "Not measured": f"{100 * chosen[MEASURED].isna().mean():.1f} %",
                "n": count_cell(chosen),
            }
        )
    return rows


def _mean(values: list[float]) -> float:
    """Mean of the values that are known."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
