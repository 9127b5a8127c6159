"""Letterboxing: scale an image to fit the canvas, centre it, pad with zeros; one affine map for everything on it.

SYSTEMS convention (paper 1, section 2.1): s = min(Wt / W, Ht / H). The content has the whole size (round(s
H), round(s W)), so the two axes' scales may differ from s by less than half a canvas px over the image.
Coordinates are continuous (edges at integers): x' = x * scale_x + offset_x, also for boxes; a pixel centre is
at index + 0.5.
"""

from dataclasses import dataclass
from math import ceil, floor
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

VERSION = 2  # part of every cache key: raise it when a canvas would look different
MIN_SIDE = 1.0  # canvas px; a thinner box need not contain a single pixel centre

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Letterbox:
    """The map from a native image to a canvas, all (rows, columns): `used` is the part of the image that is shown,
    from pixel `start`; `size` and `offset` are its size and place on the canvas.
    """

    native: tuple[int, int]
    start: tuple[int, int]
    used: tuple[int, int]
    canvas: tuple[int, int]
    size: tuple[int, int]
    offset: tuple[int, int]

    @classmethod
    def fit(cls, native: tuple[int, int], canvas: tuple[int, int], crop: ArrayLike | None = None) -> Self:
        """The largest centred fit that keeps the aspect. crop: box (x1, y1, x2, y2) of the part that is shown, native
        px, grown to whole pixels. Raises ValueError for an empty image, canvas or crop.
        """
        start, used = _window(native, crop)
        if min(*used, *canvas) < 1:
            raise ValueError(f"image {used} and canvas {canvas} (rows, columns) must be at least 1 x 1")
        scale = min(canvas[0] / used[0], canvas[1] / used[1])
        rows, columns = max(1, round(scale * used[0])), max(1, round(scale * used[1]))
        offset = (canvas[0] - rows) // 2, (canvas[1] - columns) // 2
        return cls(native, start, used, canvas, (rows, columns), offset)

    @classmethod
    def cut(cls, native: tuple[int, int], box: tuple[int, int, int, int], size: tuple[int, int]) -> Self:
        """A region that is cut out of an image, box (x1, y1, x2, y2) in whole px, and resampled: no padding."""
        x1, y1, x2, y2 = box
        return cls(native, (y1, x1), (y2 - y1, x2 - x1), size, size, (0, 0))

    @property
    def scale(self) -> tuple[float, float]:
        """Canvas px per native px along (rows, columns)."""
        return self.size[0] / self.used[0], self.size[1] / self.used[1]

    @property
    def native_px(self) -> tuple[float, float]:
        """Native px per canvas px along (x, y)."""
        return self.used[1] / self.size[1], self.used[0] / self.size[0]

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
        (first, left), (rows, columns) = self.start, self.used
        shown = image[first : first + rows, left : left + columns]
        resized = Image.fromarray(np.ascontiguousarray(shown)).resize(self.size[::-1], method)
        canvas = np.zeros(self.canvas, np.uint8)
        (top, left), (rows, columns) = self.offset, self.size
        canvas[top : top + rows, left : left + columns] = np.asarray(resized)
        return canvas

    def invert_labels(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A label map on the canvas -> native (H, W): the label at each native pixel's centre, 0 outside the crop."""
        (top, left), (rows, columns) = self.offset, self.size
        shown = Image.fromarray(np.ascontiguousarray(labels[top : top + rows, left : left + columns]))
        native = np.zeros(self.native, np.uint8)
        (first, left), (rows, columns) = self.start, self.used
        resized = shown.resize((columns, rows), Image.Resampling.NEAREST)
        native[first : first + rows, left : left + columns] = np.asarray(resized)
        return native

    def apply_points(self, points: ArrayLike) -> Floats:
        """(..., 2) native (x, y) -> canvas, px."""
        return (np.asarray(points, float) - self.start[::-1]) * self.scale[::-1] + self.offset[::-1]

    def invert_points(self, points: ArrayLike) -> Floats:
        """(..., 2) canvas (x, y) -> native, px."""
        return (np.asarray(points, float) - self.offset[::-1]) / self.scale[::-1] + self.start[::-1]

    def apply_box(self, box: ArrayLike) -> Floats:
        """(..., 4) native -> canvas, clipped to the image on it; NaN where less than 1 px x 1 px is left."""
        corners = self.apply_points(np.asarray(box, float).reshape(*np.shape(box)[:-1], 2, 2))
        clipped = np.clip(corners, self.content[:2], self.content[2:])
        kept = (np.diff(clipped, axis=-2) >= MIN_SIDE).all(axis=-1)
        return np.where(kept, clipped.reshape(np.shape(box)), np.nan)

    def invert_box(self, box: ArrayLike) -> Floats:
        """(..., 4) canvas -> native, px."""
        corners = np.asarray(box, float).reshape(*np.shape(box)[:-1], 2, 2)
        return self.invert_points(corners).reshape(np.shape(box))

    def pixel_mm(self, native_mm: ArrayLike) -> Floats:
        """mm per native px -> mm per canvas px, by the geometric mean of the two axes' scales."""
        return np.asarray(native_mm, float) / np.sqrt(self.scale[0] * self.scale[1])


def _window(native: tuple[int, int], crop: ArrayLike | None) -> tuple[tuple[int, int], tuple[int, int]]:
    """First (row, column) and size (rows, columns) of the part of an image that a crop leaves."""
    if crop is None or np.isnan(np.asarray(crop, float)).all():
        return (0, 0), native
    x1, y1, x2, y2 = np.asarray(crop, float)
    top, left = max(0, floor(y1)), max(0, floor(x1))
    return (top, left), (min(native[0], ceil(y2)) - top, min(native[1], ceil(x2)) - left)
