"""How metrics are named, rounded and read in tables and figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A column of `per_image.csv` as readers see it."""

    label: str
    better: Literal["higher", "lower"]
    digits: int
    change: Literal["%", "difference"] = "%"
    """How two methods are compared: in per cent of the first one's mean, or by the plain difference."""

    @property
    def title(self) -> str:
        """The label with an arrow towards better."""
        return f"{self.label} {'↑' if self.better == 'higher' else '↓'}"

    def improves(self, change: float) -> bool:
        """Whether a change of this sign is for the better."""
        return change > 0 if self.better == "higher" else change < 0


METRICS = {
    "psnr_content": Metric("PSNR (dB)", "higher", 2, "difference"),
    "ms_ssim_content": Metric("MS-SSIM", "higher", 4, "difference"),
    "roi_mae": Metric("ROI-MAE", "lower", 5),
    "roi_ms_ssim": Metric("ROI MS-SSIM", "higher", 4, "difference"),
    "roi_edge_mae": Metric("ROI Edge-MAE", "lower", 5),
    "nt_abs_drift_mm": Metric("NT drift (mm)", "lower", 3),
    "nt_abs_drift_px": Metric("NT drift (px)", "lower", 3),
    "nt_lost": Metric("NT lost", "lower", 3, "difference"),
}
"""In the order of the tables. PSNR and MS-SSIM with the letterbox padding, as in the papers, are in `per_image.csv`."""
