"""Are unfamiliar images told from familiar ones: AUROC and FPR95 of near and far sets, intervals by subjects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ushydra_lab.files import write_csv
from ushydra_lab.report.document import Document, Heading, Table
from ushydra_lab.report.intervals import ONE_SEED, interval_cell, numbers
from ushydra_lab.report.tables import range_cell
from ushydra_lab.results.clustered import clustered_auroc
from ushydra_lab.results.reliability import fpr95

DETECTORS = {"mahalanobis": "Mahalanobis", "mahalanobis_l2": "Mahalanobis, |z| = 1", "knn": "kNN"}
NEAR, FAR = "near", "far"
TITLE = "Unfamiliar images, near and far"
CAPTION = (
    "Near: the unseen site; far: another data set (probes --against). AUROC: validation images of the seen sites "
    "against the unfamiliar ones. FPR95: share of the unfamiliar images that pass where 95 % of those validation "
    "images do. "
    f"{ONE_SEED} (Obuchowski 1997; Korn and Graubard 1998). Images: validation / unfamiliar, and of how many subjects."
)


def separations(images: pd.DataFrame) -> dict[str, float]:
    """DETECTOR_auroc and DETECTOR_fpr95, each also with _low and _high, of one stage's and feature's images.

    images: part, unit (the number of the subject), and the detectors' scores.
    """
    found: dict[str, float] = {}
    tested = images[images["part"].isin(["val", "test"])]
    usual, unusual = (tested[tested["part"] == part] for part in ("val", "test"))
    for name in DETECTORS:
        if name in tested:
            area = clustered_auroc(tested[name], tested["part"] == "test", tested["unit"])
            found |= numbers(f"{name}_auroc", area)
            found |= numbers(f"{name}_fpr95", fpr95(usual[name], unusual[name], unusual["unit"]))
    return found | {f"subjects_{part}": of["unit"].nunique() for part, of in (("val", usual), ("test", unusual))}


def section(scores: pd.DataFrame, folder: Path, note: str = "") -> Document:
    """A table of all held-out sites, of the code z; note: for its caption, what trained that.

    scores: one row per run, stage and unfamiliar set: held_out, seed, method_name, distance (near or far), unfamiliar
    (the set), images_val, images_test and what `separations` has.
    """
    if scores.empty:
        return []
    rows = list(_rows(scores))
    if not rows:
        return []
    table = pd.DataFrame(rows)
    write_csv(folder / "probes_unfamiliar.csv", table)
    return [Heading(TITLE, 3), Table(table, f"{CAPTION} {note}".rstrip())]


def _rows(scores: pd.DataFrame) -> Iterator[dict[str, Any]]:
    keys = ["held_out", "method_name", "distance", "unfamiliar"]
    for (held_out, method, distance, unfamiliar), own in scores.groupby(keys, sort=False):
        who = {"held out": held_out, "method": method, "unfamiliar": f"{distance}: {unfamiliar}"}
        images, subjects = (
            " / ".join(range_cell(own[f"{what}_{part}"].astype(int)) for part in ("val", "test"))
            for what in ("images", "subjects")
        )
        for name, title in DETECTORS.items():
            if f"{name}_auroc_low" in own:
                cells = {"AUROC ↑": interval_cell(own, f"{name}_auroc"), "FPR95 ↓": interval_cell(own, f"{name}_fpr95")}
                counts = {"images": images, "subjects": subjects, "seeds": str(own["seed"].nunique())}
                yield who | {"score": title} | cells | counts
