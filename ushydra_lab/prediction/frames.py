"""The frame: one picture that is answered, with where it lies in its file, and how it is put on a canvas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan

import numpy as np
import torch
from numpy.typing import NDArray

from ushydra_lab.geometry.letterbox import Letterbox
from ushydra_lab.tasks.base import Batch
from ushydra_lab.triage.pixels import pixel_reasons

Box = tuple[float, float, float, float]
NOWHERE: Box = (nan, nan, nan, nan)


@dataclass(frozen=True)
class Frame:
    """A picture with square pixels, as networks are shown it.

    name: the path below INPUT. frame: its number in the file from 0, None of a still; region: of a DICOM file, from 0;
    rate: frames a second of its file, NaN where that does not say.
    grey: (rows, columns) uint8. place: from the file's frame to `grey`: the region that was cut out, resampled to
    squares. pixel_mm: mm per px of `grey`; native_mm: mm per px of the file's frame along (x, y); NaN where unknown;
    spacing_from: who says so. crop: box (x1, y1, x2, y2) of `grey` that is shown, px. boxes: annotations NAME_box, px.
    """

    name: str
    grey: NDArray[np.uint8]
    place: Letterbox
    sha256: str
    frame: int | None = None
    region: int | None = None
    time_s: float = nan
    rate: float = nan
    pixel_mm: float = nan
    native_mm: tuple[float, float] = (nan, nan)
    spacing_from: str = "none"
    crop: Box | None = None
    boxes: Mapping[str, Box] = field(default_factory=dict)

    @property
    def part(self) -> str:
        """What is put behind the file's name to tell this picture from others of the file."""
        frame = "" if self.frame is None else f"_f{self.frame:05d}"
        return frame + ("" if self.region is None else f"_r{self.region}")


@dataclass(frozen=True)
class Shown:
    """A frame on the canvas: `pixels` (rows, columns) uint8, by the map `fit` from its `grey`.

    refused: why its raw pixels are refused (`triage.pixels`), if they are.
    """

    frame: Frame
    fit: Letterbox
    pixels: NDArray[np.uint8]
    refused: tuple[str, ...] = ()

    def points(self, canvas: NDArray[np.floating]) -> NDArray[np.float64]:
        """(..., 2) canvas (x, y) -> px of the file's frame."""
        return self.frame.place.invert_points(self.fit.invert_points(canvas))

    def labels(self, canvas: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A label map of the canvas at the size of the file's frame."""
        return self.frame.place.invert_labels(self.fit.invert_labels(canvas))


def show(frame: Frame, canvas: tuple[int, int]) -> Shown:
    """The frame on a canvas (rows, columns), as images are put there to be trained on."""
    rows, columns = frame.grey.shape
    fit = Letterbox.fit((rows, columns), canvas, frame.crop)
    return Shown(frame, fit, fit.apply_image(frame.grey), pixel_reasons(frame.grey))


def batch_of(shown: Sequence[Shown]) -> Batch:
    """A batch of all that is known of these frames, as `data.datamodule` makes it of a manifest's rows."""
    pixels = torch.from_numpy(np.stack([one.pixels for one in shown]))
    numbers = {
        "content": [one.fit.content for one in shown],
        "native_px": [one.fit.native_px for one in shown],
        "pixel_mm": [float(one.fit.pixel_mm(one.frame.pixel_mm)) for one in shown],
    }
    for name in {name for one in shown for name in one.frame.boxes}:
        numbers[name] = [one.fit.apply_box(one.frame.boxes.get(name, NOWHERE)) for one in shown]
    batch = {name: torch.tensor(np.array(values), dtype=torch.float32) for name, values in numbers.items()}
    return {"image": pixels.unsqueeze(1).float().div_(255), **batch}
