"""Which system a task belongs to."""

from __future__ import annotations

from ushydra_lab.errors import UserError
from ushydra_lab.prediction.systems.base import System
from ushydra_lab.prediction.systems.classification import ClassificationSystem
from ushydra_lab.prediction.systems.landmarks import LandmarkSystem
from ushydra_lab.prediction.systems.reconstruction import ReconstructionSystem
from ushydra_lab.prediction.systems.segmentation import SegmentationSystem
from ushydra_lab.tasks.base import Task
from ushydra_lab.tasks.by_quality import ByQuality
from ushydra_lab.tasks.classification import Classification
from ushydra_lab.tasks.landmarks import Landmarks
from ushydra_lab.tasks.reconstruction import Reconstruction
from ushydra_lab.tasks.routed import Routed
from ushydra_lab.tasks.segmentation import Segmentation

SYSTEMS: dict[type[Task], type[System]] = {
    Landmarks: LandmarkSystem,
    Segmentation: SegmentationSystem,
    Classification: ClassificationSystem,
    Reconstruction: ReconstructionSystem,
}
BY_IMAGE = ("weighted", "zscored", "mahalanobis", "soft")
"""Routers that look at nothing but the image."""


def system_of(task: Task) -> System:
    """
    Raises:
        UserError: the lab cannot put this task's answers into a table, or it chooses a decoder by an image's quality.
    """
    kind = next((system for base, system in SYSTEMS.items() if isinstance(task, base)), None)
    if kind is None:
        known = ", ".join(base.__name__ for base in SYSTEMS)
        raise UserError(f"{type(task).__name__}: predict knows {known} and what is derived from them")
    if not isinstance(task, ByQuality) or task.single:
        return kind(task)
    if not isinstance(task, Routed) or task.route_by not in BY_IMAGE:
        how = f"router={task.route_by}" if isinstance(task, Routed) else "stage 1"
        raise UserError(
            f"{type(task).__name__} ({how}) chooses a decoder by what is known of an image, which unlabelled images do "
            f"not tell: predict with a run whose last stage has router={' or '.join(BY_IMAGE)}"
        )
    return kind(task)
