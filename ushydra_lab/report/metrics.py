"""How metrics are named, rounded and read in tables and figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A column of `per_image.csv` as readers see it."""

    label: str
    better: Literal["higher", "lower"]
    digits: int
    change: Literal["%", "difference"] = "%"
    """How two methods are compared: in per cent of the first one's mean, or by the plain difference."""
    note: str = ""
    """What a caption has to say about it."""
    most: float = inf
    """No difference of two means can be larger."""

    @property
    def title(self) -> str:
        """The label with an arrow towards better."""
        return f"{self.label} {'↑' if self.better == 'higher' else '↓'}"

    def improves(self, change: float) -> bool:
        """Whether a change of this sign is for the better."""
        return change > 0 if self.better == "higher" else change < 0


NO_PADDING = "PSNR and MS-SSIM without letterbox padding"
NT_DRIFT = (
    "NT drift: absolute change of the automatically measured NT thickness from original to reconstruction, not an "
    "error against a reference"
)
METRICS = {
    "psnr_content": Metric("PSNR (dB)", "higher", 2, "difference", NO_PADDING),
    "ms_ssim_content": Metric("MS-SSIM", "higher", 4, "difference", NO_PADDING, most=1),
    "roi_mae": Metric("ROI-MAE", "lower", 5),
    "roi_ms_ssim": Metric("ROI MS-SSIM", "higher", 4, "difference", most=1),
    "roi_edge_mae": Metric("ROI Edge-MAE", "lower", 5),
    "nt_abs_drift_mm": Metric("NT drift (mm)", "lower", 3, note=NT_DRIFT),
    "nt_abs_drift_px": Metric("NT drift (px)", "lower", 3, note=NT_DRIFT),
    "nt_lost": Metric(
        "NT lost", "lower", 3, "difference", "NT lost: share of reconstructions without measurable NT", most=1
    ),
    "nme": Metric("NME", "lower", 4, note="NME: mean distance of the end points over the reference OFD"),
    "ofd_abs_error_mm": Metric("OFD error (mm)", "lower", 2),
    "ofd_abs_error_px": Metric("OFD error (px)", "lower", 2),
    "bpd_abs_error_mm": Metric("BPD error (mm)", "lower", 2),
    "bpd_abs_error_px": Metric("BPD error (px)", "lower", 2),
    "hc_abs_error_mm": Metric("HC error (mm)", "lower", 2, note="HC error: of the ellipse's perimeter, absolute"),
    "hc_abs_error_px": Metric("HC error (px)", "lower", 2, note="HC error: of the ellipse's perimeter, absolute"),
    "correct": Metric("Accuracy", "higher", 3, "difference", most=1),
    "router_hit": Metric(
        "Routed as labelled",
        "higher",
        3,
        "difference",
        "Routed as labelled: to the decoder of the image's own quality",
        most=1,
    ),
    "regret": Metric(
        "Regret",
        "lower",
        3,
        "difference",
        "Regret: score by the decoder of the image's own quality - the routed one's",
        most=2,
    ),
}
"""In the order of the tables. PSNR and MS-SSIM of the full canvas are in `report/nt_regions.py`."""

ASSD = (
    "ASSD: average symmetric surface distance where reference label and prediction both show the structure; misses are "
    "not counted, and two methods are compared where neither misses it"
)
OF_STRUCTURES = {
    "dice": Metric("Dice {}", "higher", 3, "difference", "Dice: mean over the images that show the structure", most=1),
    "dice_empty": Metric(
        "Dice (all images) {}",
        "higher",
        3,
        "difference",
        "Dice (all images): over all, 1 where neither reference label nor prediction shows it, 0 where one does",
        most=1,
    ),
    "assd_mm": Metric("ASSD {} (mm)", "lower", 2, note=ASSD),
    "assd_px": Metric("ASSD {} (px)", "lower", 2, note=ASSD),
}
"""Of columns NAME_STRUCTURE, one for each structure."""


def known(columns: Iterable[str]) -> dict[str, Metric]:
    """The metrics among some columns, in the order of the tables."""
    columns = list(columns)
    found = {name: METRICS[name] for name in METRICS if name in columns}
    for family, metric in OF_STRUCTURES.items():
        for column in columns:
            structure = column.removeprefix(f"{family}_")
            if structure != column and not (family == "dice" and structure.startswith("empty_")):
                found[column] = replace(metric, label=metric.label.format(structure))
    return found
