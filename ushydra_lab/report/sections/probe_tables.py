"""Three tables of the probes' scores at every held-out site, beside the numbers that a paper prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ushydra_lab.report.intervals import interval_cell
from ushydra_lab.report.sections.code_training import code_sentence
from ushydra_lab.report.tables import NOT_RUN, NOTHING, range_cell, spread_cell
from ushydra_lab.results.collect import Collected
from ushydra_lab.tasks.columns import declared_in

FEATURES = {"z": "code z", "roi": "ROI-pooled map", "texture": "SD of the map in 2 x 3 cells"}
NOT_PROBED = "not probed"


@dataclass(frozen=True)
class ProbeTable:
    """One of the three tables: its title, its columns (score -> heading) and its caption."""

    title: str
    columns: dict[str, str]
    caption: str


@dataclass(frozen=True)
class Printed:
    """The numbers that a paper prints for the scores of the code z.

    numbers, notes: table -> its number in the paper, and what its caption adds; held_out: what the tables have rows
    for, run or not; scores: those with printed values; value: (score, held out, stage, variant) -> the printed one.
    """

    numbers: dict[str, str]
    notes: dict[str, str]
    held_out: list[str]
    scores: frozenset[str]
    value: Callable[[str, str, str, str], str]


TABLES = {
    "table4": ProbeTable(
        "Can the hospital be told from the code",
        {
            "site_accuracy": "Accuracy, seen sites ↑",
            "site_auroc": "AUROC, seen sites ↑",
            "max_softmax": "Confidence, unseen ↓",
            "entropy": "Entropy, unseen (nats) ↑",
        },
        "A linear classifier of the seen sites, fitted on training images: accuracy and AUROC on their validation "
        "images; mean maximum softmax and entropy on the unseen site. It is sure where codes are like one hospital's.",
    ),
    "table5": ProbeTable(
        "Are images of the unseen site told from seen ones",
        {
            "mahalanobis_auroc": "Mahalanobis ↑",
            "mahalanobis_l2_auroc": "Mahalanobis, |z| = 1 ↑",
            "knn_auroc": "kNN ↑",
        },
        "AUROC of out-of-distribution scores fitted on training images, validation images of the seen sites against "
        "those of the unseen; 0.5 is chance. kNN: mean distance to 10 neighbours. In brackets: 95 % interval of one "
        "seed's, subjects as units (Obuchowski 1997).",
    ),
    "table6": ProbeTable(
        "Is the quality of the answer told from the code",
        {
            "quality_r2": "R²",
            "quality_rho": "Spearman ρ",
            "triage_drift_rho": "Triage: ρ with NT drift ↑",
            "triage_lost_auroc": "Triage: AUROC of lost NT ↑",
        },
        "Ridge regression of the error of an image's answer from its code, fitted on training images and tested on the "
        "unseen site.",
    ),
}
ERRORS = {
    "roi_edge_mae": "The error is the ROI Edge-MAE.",
    "dice_empty": "The error is 1 - Dice (all images), the mean over structures; the higher the values, the better "
    "the code warns of a bad answer.",
    "nme": "The error is the NME; the higher the values, the better the code warns of a bad answer.",
    "correct": "The error is 1 - the probability of the true plane; the higher the values, the better the code warns "
    "of a bad answer.",
}
"""What table 6 is of, by the metric's column or family."""
TRIAGE_SCORES = ("triage_drift_rho", "triage_lost_auroc")
TRIAGE = "Triage: one score made of ROI residual, ROI edge residual and the norm of the code."
CAPTION = "Mean ± SD over seeds (ddof 1). Images: validation images of the seen sites / images of the unseen site."


def caption(shown: ProbeTable, collected: Collected, scores: pd.DataFrame, note: str = "") -> str:
    """Caption of a table, with what trained the code; triage and errors are explained only where the table has them.

    note: a paper's addition.
    """
    texts = [shown.caption]
    if "quality_r2" in shown.columns:
        there = {column.name for _, column in declared_in(collected.images)}
        texts += [text for name, text in ERRORS.items() if name in there]
        texts += [TRIAGE] * any(has_score(scores, column) for column in TRIAGE_SCORES)
    return " ".join(filter(None, [*texts, CAPTION, code_sentence(collected.stages), note]))


def has_score(scores: pd.DataFrame, column: str) -> bool:
    """Whether any stage has the score `column`."""
    return column in scores and bool(scores[column].notna().any())


def table(
    collected: Collected, scores: pd.DataFrame, columns: dict[str, str], printed: Printed | None = None
) -> pd.DataFrame:
    """One row per held-out site, method and feature: each score beside the printed one.

    A method that was not probed there is a row that says so; of a paper's sites also one that was not held out.
    """
    rows = []
    there = {score: title for score, title in columns.items() if has_score(scores, score)}
    for held_out, method in _expected(collected, printed):
        own = scores[(scores["held_out"] == held_out) & (scores["method_name"] == method["method_name"])]
        probed = list(own.groupby("feature", sort=False)) or [("z", own)]
        for feature, chosen in probed:
            row = {"held out": held_out, "method": method["method_name"], "codes": FEATURES.get(str(feature), feature)}
            for score, title in there.items():
                row[title] = _cell(chosen.astype({score: float}), score) if len(chosen) else method["empty"]
                if printed and score in printed.scores:
                    value = printed.value(score, held_out, method["stage"], method["variant"])
                    row[f"{title.rstrip(' ↑↓')}, paper"] = value if feature == "z" else NOTHING
            row["images"] = " / ".join(map(range_cell, _counts(chosen))) if len(chosen) else NOTHING
            rows.append(row | {"seeds": _seeds(chosen["seed"].nunique(), method["seeds"])})
    return pd.DataFrame(rows)


def _cell(scores: pd.DataFrame, score: str) -> str:
    """Mean ± SD; of an AUROC of unseen images also its interval."""
    return interval_cell(scores, score) if f"{score}_low" in scores else spread_cell(scores, score, 3)


def _counts(scores: pd.DataFrame) -> list[pd.Series]:
    return [scores["images_val"], scores["images_test"]]


def _expected(collected: Collected, printed: Printed | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """(held-out site, a method of the experiment: method_name, stage, variant, its seeds, `empty`: why no scores)."""
    stages = collected.stages
    for held_out in printed.held_out if printed else stages["held_out"].unique():
        for method in stages.drop_duplicates("method_name").to_dict("records"):
            own = stages[(stages["held_out"] == held_out) & (stages["method_name"] == method["method_name"])]
            empty = NOT_PROBED if len(own) else NOT_RUN
            known = {key: method[key] for key in ("method_name", "stage", "variant")}
            yield str(held_out), known | {"seeds": own["seed"].nunique(), "empty": empty}


def _seeds(probed: int, there: int) -> str:
    return str(probed) if probed == there else f"{probed} of {there} probed"
