"""Tables 4, 5 and 6 of the NT paper: what the probes found at every held-out site, beside the printed numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
from scipy.optimize import brentq

from ushydra_lab.report.collect import Collected
from ushydra_lab.report.nt_tables import FINAL, FIRST, PROTOCOLS, SITES, held_out_sites, paper_protocol
from ushydra_lab.report.tables import NOT_RUN, NOTHING, base, range_cell, spread_cell

FEATURES = {"z": "code z", "roi": "ROI-pooled map", "texture": "SD of the map in 2 x 3 cells"}
NOT_PROBED = "not probed"
TINY = 1e-9
PRINTED: dict[str, dict[str, tuple[str, str, str]]] = {
    "max_softmax": {
        FIRST: ("0.751 ± 0.118", "0.710 ± 0.107", "0.556 ± 0.035"),
        FINAL: ("0.752 ± 0.118", "0.710 ± 0.107", "0.541 ± 0.028"),
    },
    "entropy": {
        FIRST: ("0.523 ± 0.132", "0.574 ± 0.099", "0.684 ± 0.010"),
        FINAL: ("0.521 ± 0.132", "0.575 ± 0.099", "0.688 ± 0.006"),
    },
    "mahalanobis_auroc": {
        FIRST: ("0.8681 ± 0.0005", "0.7400 ± 0.0004", "0.9953 ± 0.0013"),
        FINAL: ("0.8684 ± 0.0003", "0.7488 ± 0.0035", "0.9956 ± 0.0014"),
    },
    "knn_auroc": {
        FIRST: ("0.7152 ± 0.0013", "0.6382 ± 0.0520", "0.9317 ± 0.0079"),
        FINAL: ("0.7182 ± 0.0011", "0.6421 ± 0.0547", "0.9312 ± 0.0061"),
    },
    "quality_r2": {FIRST: ("0.177", "0.175", "0.053"), FINAL: ("0.235", "0.153", "0.074")},
    "quality_rho": {FIRST: ("0.321", "0.493", "0.298"), FINAL: ("0.317", "0.407", "0.358")},
}
"""As printed in Tables 4, 5 and 6, of PROTOCOLS, for Phase 1 and the final objective, on z."""


@dataclass(frozen=True)
class Table:
    """title, the paper's number, columns: score -> what readers see; caption, and what it adds about the paper."""

    title: str
    number: str
    columns: dict[str, str]
    caption: str
    of_paper: str = ""


TABLES = {
    "table4": Table(
        "Can the hospital be told from the code",
        "Table 4",
        {
            "site_accuracy": "Accuracy, seen sites ↑",
            "site_auroc": "AUROC, seen sites ↑",
            "max_softmax": "Confidence, unseen ↓",
            "entropy": "Entropy, unseen (nats) ↑",
        },
        "A linear classifier of the seen sites, fitted on training images: accuracy and AUROC on their validation "
        "images; mean maximum softmax and entropy on the unseen site. It is sure where codes are like one hospital's.",
        "The paper does not say what its SD is of.",
    ),
    "table5": Table(
        "Are images of the unseen site told from seen ones",
        "Table 5",
        {
            "mahalanobis_auroc": "Mahalanobis ↑",
            "mahalanobis_l2_auroc": "Mahalanobis, |z| = 1 ↑",
            "knn_auroc": "kNN ↑",
        },
        "AUROC of out-of-distribution scores fitted on training images, validation images of the seen sites against "
        "those of the unseen; 0.5 is chance. kNN: mean distance to 10 neighbours. In brackets: 95 % interval of the "
        "mean for so many images (Newcombe 2006, method 5), as wide as if there were one seed.",
    ),
    "table6": Table(
        "Is the quality of the answer told from the code",
        "Table 6",
        {
            "quality_r2": "R²",
            "quality_rho": "Spearman ρ",
            "triage_drift_rho": "Triage: ρ with NT drift ↑",
            "triage_lost_auroc": "Triage: AUROC of lost NT ↑",
        },
        "Ridge regression of the error of an image's answer from its code, fitted on training images and tested on the "
        "unseen site.",
        "The paper reads low values as good: the code then holds little about artefacts of the reconstruction.",
    ),
}
ERRORS = {
    "roi_edge_mae": "The error is the ROI Edge-MAE.",
    "dice_empty_": "The error is 1 - Dice (all images), the mean over structures; the higher the values, the better "
    "the code warns of a bad answer.",
    "nme": "The error is the NME; the higher the values, the better the code warns of a bad answer.",
    "correct": "The error is 1 - the probability of the true plane; the higher the values, the better the code warns "
    "of a bad answer.",
}
"""What table 6 is of, by how the metric's column begins."""
TRIAGE = "Triage: one score made of ROI residual, ROI edge residual and the norm of the code."
CAPTION = "Mean ± SD over seeds (ddof 1). Images: validation images of the seen sites / images of the unseen site."
OF_PAPER = f"{SITES} Its codes: z."


def caption(shown: Table, found: Collected, scores: pd.DataFrame) -> str:
    """What is below a table; of the paper, of triage and of an error only what the table has."""
    texts = [shown.caption]
    if "quality_r2" in shown.columns:
        columns = "\n".join(found.images.columns)
        texts += [text for start, text in ERRORS.items() if re.search(f"^{start}", columns, re.MULTILINE)]
        texts += [TRIAGE] * any(has(scores, column) for column in shown.columns if column.startswith("triage"))
    paper = [shown.of_paper, OF_PAPER] if of_paper(found) else []
    return " ".join(filter(None, [*texts, CAPTION, *paper]))


def has(scores: pd.DataFrame, column: str) -> bool:
    """Whether any stage has a score."""
    return column in scores and bool(scores[column].notna().any())


def auroc_interval(auroc: float, usual: int, unusual: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of an AUROC over so many usual and unusual images: all values it is within z SE of.

    R. G. Newcombe, Statistics in Medicine 25:559, 2006, method 5: the SE of Hanley and McNeil (1982), that of the
    value in question rather than of the estimate, so that an AUROC of 1 has an interval too.
    """
    size = (usual + unusual) / 2 - 1

    def beyond(true: float) -> float:
        variance = true * (1 - true) * (1 + size * ((1 - true) / (2 - true) + true / (1 + true))) / (usual * unusual)
        return float((true - auroc) ** 2 - z**2 * variance)

    low = brentq(beyond, 0, min(auroc, 1 - TINY)) if auroc > TINY else 0.0
    high = brentq(beyond, max(auroc, TINY), 1) if auroc < 1 - TINY else 1.0
    return low, high


def table(found: Collected, scores: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """One row a held-out site, method and feature: each score, what the paper prints of that hospital beside it.

    A method that was not probed there is a row that says so; of the paper's methods also a site that was not held out.
    """
    protocols, rows = paper_protocol(found), []
    there = {score: title for score, title in columns.items() if has(scores, score)}
    for held_out, stage in _expected(found):
        own = scores[(scores["held_out"] == held_out) & (scores["base"] == stage["base"])]
        probed = list(own.groupby("feature", sort=False)) or [("z", own)]
        for feature, chosen in probed:
            row = {"held out": held_out, "method": stage["base"], "codes": FEATURES.get(str(feature), feature)}
            for score, title in there.items():
                row[title] = _cell(chosen.astype({score: float}), score) if len(chosen) else stage["empty"]
                if score in PRINTED and of_paper(found):
                    row[f"{title.rstrip(' ↑↓')}, paper"] = _printed(score, stage, protocols.get(held_out), str(feature))
            row["images"] = " / ".join(map(range_cell, _counts(chosen))) if len(chosen) else NOTHING
            rows.append(row | {"seeds": _seeds(chosen["seed"].nunique(), stage["seeds"])})
    return pd.DataFrame(rows)


def _cell(scores: pd.DataFrame, score: str) -> str:
    """Mean ± SD; of an AUROC of unseen images also its interval over images."""
    cell = spread_cell(scores, score, 3)
    if score not in TABLES["table5"].columns or scores[score].isna().all():
        return cell
    low, high = auroc_interval(scores[score].mean(), *(min(counts) for counts in _counts(scores)))
    return f"{cell} [{low:.3f}, {high:.3f}]"


def _counts(scores: pd.DataFrame) -> list[pd.Series]:
    return [scores["images_val"], scores["images_test"]]


def of_paper(found: Collected) -> bool:
    """Whether there is a stage that the paper has numbers of."""
    return bool({FIRST, "phase2"} & set(found.stages["stage"]))


def _expected(found: Collected) -> Iterator[tuple[str, dict[str, Any]]]:
    """(held-out site, a method of the experiment: base, stage, variant, seeds it has there, `empty`: why no scores)."""
    stages = found.stages.assign(base=base(found.stages["method"]))
    for held_out in held_out_sites(found) if of_paper(found) else stages["held_out"].unique():
        for _, method in stages.drop_duplicates("base").iterrows():
            own = stages[(stages["held_out"] == held_out) & (stages["base"] == method["base"])]
            yield (
                held_out,
                {
                    **{key: str(method[key]) for key in ("base", "stage", "variant")},
                    "seeds": own["seed"].nunique(),
                    "empty": NOT_PROBED if len(own) else NOT_RUN,
                },
            )


def _seeds(probed: int, there: int) -> str:
    return str(probed) if probed == there else f"{probed} of {there} probed"


def _printed(score: str, stage: dict[str, Any], protocol: str | None, feature: str) -> str:
    """Of Phase 1 or the final objective, on z."""
    phase = {FIRST: FIRST, "phase2": stage["variant"]}.get(stage["stage"])
    if feature != "z" or protocol is None or phase not in PRINTED[score]:
        return NOTHING
    return PRINTED[score][phase][PROTOCOLS.index(protocol)]
