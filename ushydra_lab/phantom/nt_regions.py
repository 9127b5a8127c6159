"""Scene `nt_regions`: the scene `nt` with a second box, that of the nasal bone, and the quality of each view."""

from dataclasses import dataclass

import numpy as np

from ushydra_lab.phantom.hospitals import View
from ushydra_lab.phantom.nt import NASAL_BONE, Fetus
from ushydra_lab.phantom.nt_clinical import ClinicalFetus

MARGIN_MM = 1.0
QUALITY = ((0.15, "high"), (0.3, "medium"), (1.0, "low"))
"""A view is of the first quality whose bound it is not further off the middle plane than: of real ones a third each."""
HARDLY_SEEN = 0.5
"""Further off the middle plane the nasal bone is not annotated."""


class Regions(Fetus):
    """A fetus of which the nasal bone and the view's quality are annotated as well."""

    def annotations(self, rng: np.random.Generator, view: View) -> dict[str, float | str]:
        """Those of the NT, `quality`, and `nasal_bone_x1` to `_y2` (edges, px) where all of it is seen."""
        off = getattr(self, "off_plane", 0.0)  # a textbook's is in the middle
        truth = super().annotations(rng, view)
        truth["quality"] = next(word for bound, word in QUALITY if off <= bound)
        x, y = self.to_image(*(np.array(NASAL_BONE) * (self.a, self.b)).T)
        if off > HARDLY_SEEN or not view.visible(x, y).all():
            return truth
        column, row = view.to_px(x, y)
        margin, (height, width) = MARGIN_MM / view.pixel_mm, view.shape
        edges = {"x1": column.min() - margin, "y1": row.min() - margin}
        edges |= {"x2": column.max() + margin, "y2": row.max() + margin}
        limits = {"x1": width, "x2": width, "y1": height, "y2": height}
        return truth | {f"nasal_bone_{k}": round(float(np.clip(px, 0, limits[k])), 2) for k, px in edges.items()}


@dataclass(frozen=True)
class ClinicalRegions(Regions, ClinicalFetus):
    """At difficulty real and hard."""
