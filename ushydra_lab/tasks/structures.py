"""Scores of each structure of a label map, against the truth, all (B, K): what `Segmentation` measures."""

from __future__ import annotations

import torch
from torch import Tensor

from ushydra_lab.metrics.overlap import PRESENT_PX, dice_with_empty, disagreement, overlap
from ushydra_lab.metrics.segmentation import confusion, counts_of
from ushydra_lab.metrics.shape import FEATURES, ShapePrior, shape_features
from ushydra_lab.metrics.surface import surface_distances
from ushydra_lab.tasks.base import Batch
from ushydra_lab.tasks.columns import TOLERANCE_MM, TOLERANCE_PX


def structure_scores(pred: Tensor, true: Tensor, peak: Tensor, shapes: ShapePrior, batch: Batch) -> dict[str, Tensor]:
    """The scores that `Segmentation.measure` names.

    Args:
        pred, true: label maps (B, H, W); IGNORE in the truth counts nowhere.
        peak: the largest probability (B, K) of each label in an image.
        shapes: the prior over shapes of the training masks.
    """
    classes = peak.shape[1]
    counts = counts_of(confusion(pred, true, classes))
    scores = overlap(counts) | {"dice_empty": dice_with_empty(counts)}
    scores["hits"], scores["true_px"], scores["found_px"] = counts
    scores["present"], scores["found"] = scores["true_px"] > 0, scores["found_px"] > PRESENT_PX
    scores["disagreement"] = disagreement(counts)
    features = shape_features(pred, classes)
    of = dict(zip(FEATURES, features.unbind(2), strict=True))
    scores["shape"], scores["eccentricity"] = shapes(features, spacing_of(batch)), of["eccentricity"]
    scores["anomaly"] = shapes.anomaly(scores["shape"], scores["found_px"] == 0, peak)
    surfaces = surface_distances(pred, true, classes, _tolerances(batch))
    scores["nsd_px"], nsd_mm = surfaces["nsd"].unbind(2)
    lengths = {name: of[name] for name in "xy"} | {name: surfaces[name] for name in ("assd", "hd95")}
    scores |= {f"{name}_px": values for name, values in lengths.items()}
    if "pixel_mm" in batch:
        mm = batch["pixel_mm"][:, None]
        scores |= {f"{name}_mm2": scores[f"{name}_px"] * mm**2 for name in ("true", "found")}
        scores |= {f"{name}_mm": values * mm.cpu() for name, values in lengths.items()} | {"nsd_mm": nsd_mm}
    return scores


def areas(pred: Tensor, classes: int, batch: Batch) -> dict[str, Tensor]:
    """`found`, `found_px`, canvas px, and where the spacing is known `found_mm2` of label maps (B, H, W)."""
    found_px = torch.stack([(pred == label).sum((1, 2)) for label in range(classes)], 1)
    scores = {"found": found_px > PRESENT_PX, "found_px": found_px}
    return scores | ({"found_mm2": found_px * batch["pixel_mm"][:, None] ** 2} if "pixel_mm" in batch else {})


def spacing_of(batch: Batch) -> Tensor:
    """mm per canvas px (B,), NaN where unknown."""
    return batch["pixel_mm"] if "pixel_mm" in batch else torch.full_like(batch["content"][:, 0], torch.nan)


def _tolerances(batch: Batch) -> Tensor:
    """TOLERANCE_PX and TOLERANCE_MM in canvas px, (B, 2)."""
    of_mm = TOLERANCE_MM / spacing_of(batch).cpu().double()
    return torch.stack([torch.full_like(of_mm, TOLERANCE_PX), of_mm], 1)
