"""Scene `planes`: the four standard planes of the second trimester (brain, thorax, femur, abdomen).

After the planes of FETAL_PLANES_DB (Burgos-Artizzu et al. 2020, Sci. Rep. 10:10200). Plane, size, orientation
and place are drawn independently of the site.
"""

from dataclasses import dataclass

import numpy as np

from ushydra_lab.phantom.hospitals import View
from ushydra_lab.phantom.plane_brain import Brain
from ushydra_lab.phantom.plane_femur import Femur
from ushydra_lab.phantom.plane_trunk import Abdomen, Thorax
from ushydra_lab.phantom.plane_womb import Pose, Womb
from ushydra_lab.phantom.speckle import Array, Tissue

PLANES: dict[str, type[Womb]] = {"brain": Brain, "thorax": Thorax, "femur": Femur, "abdomen": Abdomen}


@dataclass(frozen=True)
class FetalPlane:
    """One of PLANES, each as likely as the others, and how it lies in the image."""

    plane: str
    pose: Pose

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "FetalPlane":
        plane = str(rng.choice(list(PLANES)))
        return cls(plane, PLANES[plane].pose_of(rng))

    @property
    def size_mm(self) -> tuple[float, float]:
        return 1.35 * self.pose.frame, self.pose.frame

    def tissue(self, x: Array, y: Array) -> Tissue:
        return PLANES[self.plane](self.pose, x, y).paint()

    def labels(self, x: Array, y: Array) -> None:
        return None

    def annotations(self, rng: np.random.Generator, view: View) -> dict[str, float | str]:
        return {"plane": self.plane}
