"""Running all probes on one feature of a stage: scores of the parts, and one row per image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ushydra_lab.probes.features import DIFFICULTY, EDGE, Codes, Floats
from ushydra_lab.probes.ood import detect, separation
from ushydra_lab.probes.projection import project
from ushydra_lab.probes.provenance import SiteProbe, entropy
from ushydra_lab.probes.quality import Triage, predict_error, r2, rank_correlation
from ushydra_lab.triage import Covariance

Scores = dict[str, float]
DRIFT, LOST = "nt_abs_drift_px", "nt_lost"


@dataclass(frozen=True)
class PartCodes:
    """Codes of the training images, of validation images of the same sites, and of unseen images."""

    train: Codes
    val: Codes
    test: Codes

    @property
    def others(self) -> dict[str, Codes]:
        return {"val": self.val, "test": self.test}

    @property
    def features(self) -> list[str]:
        """The features that all parts have."""
        return [name for name in self.train.features if all(name in codes.features for codes in self.others.values())]


def probe_feature(
    parts: PartCodes, feature: str, seed: int, covariance: Covariance, caliper: pd.DataFrame | None = None
) -> tuple[Scores, pd.DataFrame]:
    """Every probe on one feature (`z`, `roi` or `texture`), fitted on the training codes alone.

    caliper: `nt_abs_drift_px` and `nt_lost` by record, where the NT was measured.

    Returns:
        The scores; NaN where one is undefined. And a row an image: part, record, site, its place in the plane, and
        for the images that nothing was fitted on `max_softmax`, `entropy` (nats), `site_right` (of
        validation images: 1 where the most probable site is the image's own), the detectors' scores, `roi_edge_mae` or
        `difficulty` as it is and as predicted, `triage`.

    Raises:
        UserError: there are too few training images.
    """
    others = [codes.features[feature] for codes in parts.others.values()]
    train = parts.train.features[feature]
    columns: dict[str, list[Floats]] = {}
    scores: Scores = {}
    for probe in (_provenance(parts, feature, seed), _ood(train, others, covariance), _quality(parts, feature)):
        columns |= probe[0]
        scores |= probe[1]
    names = ["train"] * len(train) + ["val"] * len(others[0]) + ["test"] * len(others[1])
    whole = (parts.train, *parts.others.values())
    who = {name: np.concatenate([getattr(codes, name) for codes in whole]) for name in ("record", "site")}
    unfitted = {name: np.concatenate([np.full(len(train), np.nan), *found]) for name, found in columns.items()}
    table = pd.DataFrame({"part": names, **who, **project(train, others, seed), **unfitted})
    return scores | _of_caliper(table, caliper), table


ProbeResult = tuple[dict[str, list[Floats]], Scores]
"""A probe's columns, each (validation images' values, unseen images'), and its scores."""


def _provenance(parts: PartCodes, feature: str, seed: int) -> ProbeResult:
    if len(np.unique(parts.train.site)) < 2:
        return {}, {}
    probe = SiteProbe(parts.train.features[feature], parts.train.site, seed)
    found = [probe.probabilities(codes.features[feature]) for codes in parts.others.values()]
    right = probe.right(found[0], parts.val.site)
    confidence, uncertainty = [p.max(1) for p in found], [entropy(p) for p in found]
    scores = {
        "site_accuracy": float(right.mean()),
        "site_auroc": probe.auroc(found[0], parts.val.site),
        "max_softmax_val": float(confidence[0].mean()),
        "entropy_val": float(uncertainty[0].mean()),
        "max_softmax": float(confidence[1].mean()),
        "entropy": float(uncertainty[1].mean()),
    }
    unseen = np.full(len(found[1]), np.nan)
    return {"max_softmax": confidence, "entropy": uncertainty, "site_right": [right, unseen]}, scores


def _ood(train: Floats, others: list[Floats], covariance: Covariance) -> ProbeResult:
    found = detect(train, others, covariance)
    return found, {f"{name}_auroc": separation(usual, unusual) for name, (usual, unusual) in found.items()}


def _quality(parts: PartCodes, feature: str) -> ProbeResult:
    """The ROI's edge error told from the code, and triage; of other networks than autoencoders the difficulty."""
    fitted, others = parts.train, list(parts.others.values())
    if not all(codes.quality for codes in (fitted, *others)):
        return {}, {}
    target = EDGE if EDGE in fitted.quality else DIFFICULTY
    judged = np.isfinite(fitted.quality[target])
    if judged.sum() < 2:
        return {}, {}
    predicted = predict_error(
        fitted.features[feature][judged], fitted.quality[target][judged], [codes.features[feature] for codes in others]
    )
    true = [codes.quality[target] for codes in others]
    columns = {target: true, f"{target}_predicted": predicted}
    if target == EDGE:
        triage = Triage(fitted.features[feature], fitted.quality)
        columns["triage"] = [triage(codes.features[feature], codes.quality) for codes in others]
    return columns, {"quality_r2": r2(true[1], predicted[1]), "quality_rho": rank_correlation(true[1], predicted[1])}


def _of_caliper(table: pd.DataFrame, caliper: pd.DataFrame | None) -> Scores:
    """How well triage finds the unseen images whose NT the reconstruction moves most, or loses."""
    if caliper is None or "triage" not in table:
        return {}
    tested = table[table["part"] == "test"].join(caliper, on="record")
    triage, drift = tested["triage"].to_numpy(float), tested[DRIFT].to_numpy(float)
    lost, kept = triage[tested[LOST] == 1], triage[np.isfinite(drift)]
    return {
        "triage_drift_rho": rank_correlation(triage, drift),
        "triage_lost_auroc": separation(kept, lost) if len(kept) and len(lost) else np.nan,
    }
