"""Where a subject lies in its image: smaller than in a textbook, and not in the middle."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.phantom.hospitals import Subject, View
from ushydra_lab.phantom.speckle import Array, Tissue


@dataclass(frozen=True)
class Variation:
    """How a scene's images vary at severity 1, beyond a textbook's: by what part the subject is smaller on average, the
    SD of its place in parts of its size, and the SD of the gain.
    """

    smaller: float
    x: float
    y: float
    gain_db: float


@dataclass(frozen=True)
class Placed:
    """A subject that takes `zoom` of its usual size in the image, `shift` mm away from its usual place."""

    subject: Subject
    zoom: float
    shift: tuple[float, float]

    @property
    def size_mm(self) -> tuple[float, float]:
        width, height = self.subject.size_mm
        return width / self.zoom, height / self.zoom

    def tissue(self, x: Array, y: Array) -> Tissue:
        return self.subject.tissue(x - np.float32(self.shift[0]), y - np.float32(self.shift[1]))

    def labels(self, x: Array, y: Array) -> NDArray[np.uint8] | None:
        return self.subject.labels(x - self.shift[0], y - self.shift[1])

    def annotations(self, rng: np.random.Generator, view: View) -> dict[str, float | str]:
        return self.subject.annotations(rng, ShiftedView(view.shape, view.pixel_mm, view.scan, self.shift))


@dataclass(frozen=True)
class ShiftedView(View):
    """A view in the coordinates of a subject that was shifted (mm)."""

    shift: tuple[float, float]

    def to_px(self, x: Array, y: Array) -> tuple[Array, Array]:
        return super().to_px(x + self.shift[0], y + self.shift[1])

    def visible(self, x: Array, y: Array) -> NDArray[np.bool_]:
        return View(self.shape, self.pixel_mm, self.scan).visible(x + self.shift[0], y + self.shift[1])
