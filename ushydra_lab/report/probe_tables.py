"""Tables 4, 5 and 6 of the NT paper: what the probes found at every held-out site, beside the printed numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ushydra_lab.report.collect import Collected
from ushydra_lab.report.nt_tables import FINAL, FIRST, PROTOCOLS, SITES, held_out_sites, paper_protocol
from ushydra_lab.report.tables import NOT_RUN, NOTHING, spread_cell

FEATURES = {"z": "code z", "roi": "ROI-pooled map", "texture": "SD of the map in 2 x 3 cells"}
NOT_PROBED = "not probed"
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
    """title, the paper's number, caption; columns: score -> what readers see."""

    title: str
    number: str
    columns: dict[str, str]
    caption: str


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
        "images; mean maximum softmax and entropy on the unseen site. It is sure where codes are like one hospital's. "
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
        "those of the unseen; 0.5 is chance. kNN: mean distance to 10 neighbours.",
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
        "Ridge regression of the answer's error from the code, fitted on training images, on the unseen site. The "
        "error of a reconstruction is that of the ROI's edges; paper: less is a code freer of artefacts. Of other "
        "answers it is 1 - Dice, the NME, or 1 - probability of the true plane; more is a code that warns. Triage: one "
        "score of ROI residual, ROI edge residual and the norm of the code.",
    ),
}
CAPTION = "Mean ± SD over seeds (ddof 1)."
OF_PAPER = f"{SITES} Its codes: z."


def table(found: Collected, scores: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """One row a held-out site, method and feature: each score, what the paper prints of that hospital beside it.

    A method that was not probed there is a row that says so; of the paper's methods also a site that was not held out.
    """
    protocols, rows = paper_protocol(found), []
    there = {score: title for score, title in columns.items() if score in scores and scores[score].notna().any()}
    for held_out, stage in _expected(found):
        own = scores[(scores["held_out"] == held_out) & (scores["base"] == stage["base"])]
        probed = list(own.groupby("feature", sort=False)) or [("z", own)]
        for feature, chosen in probed:
            row = {"held out": held_out, "method": stage["base"], "codes": FEATURES.get(str(feature), feature)}
            for score, title in there.items():
                row[title] = spread_cell(chosen.astype({score: float}), score, 3) if len(chosen) else stage["empty"]
                if score in PRINTED and of_paper(found):
                    row[f"{title.rstrip(' ↑↓')}, paper"] = _printed(score, stage, protocols.get(held_out), str(feature))
            rows.append(row | {"seeds": _seeds(chosen["seed"].nunique(), stage["seeds"])})
    return pd.DataFrame(rows)


def of_paper(found: Collected) -> bool:
    """Whether there is a stage that the paper has numbers of."""
    return bool({FIRST, "phase2"} & set(found.stages["stage"]))


def base(methods: pd.Series) -> pd.Series:
    """Methods without what they lack: 'phase2 roi (1 of 2 seeds)' is 'phase2 roi'."""
    return methods.str.replace(r" \(\d+ of \d+ (seeds|folds|runs)\)$", "", regex=True)


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
