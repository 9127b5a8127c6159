"""Letterbox: scale an image to fit the canvas, centre it, pad with zeros. One affine map for everything on
it.

SYSTEMS convention (paper 1, section 2.1): s = min(Wt / W, Ht / H). The content has the whole size (round(s
H), round(s W)), so the two axes' scales may differ from s by less than half a canvas px over the image.
Coordinates are continuous (edges at integers): x' = x * scale_x + offset_x, also for boxes; a pixel centre is
at index + 0.5.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

VERSION = 1  # part of every cache key: raise it when a canvas would look different
MIN_SIDE = 1.0  # canvas px; a thinner box need not contain a single pixel centre

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Letterbox:
    """The map from a native image to a canvas, all (rows, columns); size and offset in canvas px."""

    native: tuple[int, int]
    canvas: tuple[int, int]
    size: tuple[int, int]
    offset: tuple[int, int]

    @classmethod
    def fit(cls, native: tuple[int, int], canvas: tuple[int, int]) -> Self:
        """The largest centred fit that keeps the aspect. Raises ValueError for an empty image or canvas."""
        if min(*native, *canvas) < 1:
            raise ValueError(f"image {native} and canvas {canvas} (rows, columns) must be at least 1 x 1")
        scale = min(canvas[0] / native[0], canvas[1] / native[1])
        rows, columns = max(1, round(scale * native[0])), max(1, round(scale * native[1]))
        offset = (canvas[0] - rows) // 2, (canvas[1] - columns) // 2
        return cls(native, canvas, (rows, columns), offset)

    @property
    def scale(self) -> tuple[float, float]:
        """Canvas px per native px along (rows, columns)."""
        return self.size[0] / self.native[0], self.size[1] / self.native[1]

    @property
    def content(self) -> tuple[float, float, float, float]:
        """Box (x1, y1, x2, y2) of the image on the canvas; outside is padding."""
        (top, left), (rows, columns) = self.offset, self.size
        return float(left), float(top), float(left + columns), float(top + rows)

    def apply_image(self, image: NDArray[np.uint8], nearest: bool = False) -> NDArray[np.uint8]:
        """(H, W) -> canvas, bilinear and antialiased when shrinking; `nearest` for label masks."""
        if image.shape != self.native:
            raise ValueError(f"image of {image.shape} given to a letterbox for {self.native}")
        method = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
        resized = Image.fromarray(image).resize(self.size[::-1], method)
        canvas = np.zeros(self.canvas, np.uint8)
        (top, left), (rows, columns) = self.offset, self.size
        canvas[top : top + rows, left : left + columns] = np.asarray(resized)
        return canvas

    def apply_points(self, points: ArrayLike) -> Floats:
        """(..., 2) native (x, y) -> canvas, px."""
        return np.asarray(points, float) * self.scale[::-1] + self.offset[::-1]

    def invert_points(self, points: ArrayLike) -> Floats:
        """(..., 2) canvas (x, y) -> native, px."""
        return (np.asarray(points, float) - self.offset[::-1]) / self.scale[::-1]

    def apply_box(self, box: ArrayLike) -> Floats:
        """(..., 4) native -> canvas, clipped to the canvas; NaN where less than 1 px x 1 px is left."""
        corners = self.apply_points(np.asarray(box, float).reshape(*np.shape(box)[:-1], 2, 2))
        clipped = np.clip(corners, 0.0, self.canvas[::-1])
        kept = (np.diff(clipped, axis=-2) >= MIN_SIDE).all(axis=-1)
        return np.where(kept, clipped.reshape(np.shape(box)), np.nan)

    def invert_box(self, box: ArrayLike) -> Floats:
        """(..., 4) canvas -> native, px."""
        corners = np.asarray(box, float).reshape(*np.shape(box)[:-1], 2, 2)
        return self.invert_points(corners).reshape(np.shape(box))

    def pixel_mm(self, native_mm: ArrayLike) -> Floats:
        """mm per native px -> mm per canvas px, by the geometric mean of the two axes' scales."""
        return np.asarray(native_mm, float) / np.sqrt(self.scale[0] * self.scale[1])
