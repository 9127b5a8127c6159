"""What a canvas is made of, and the making."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.data.io.image import decode, read_bytes
from ushydra_lab.data.io.masks import NO_LABEL, MaskCode
from ushydra_lab.geometry import letterbox
from ushydra_lab.geometry.letterbox import Letterbox

Crop = Sequence[float]
Canvas = NDArray[np.uint8]


@dataclass(frozen=True)
class Shown:
    """What one canvas is made of. path: None for a label map that a row lacks; code: None for an image."""

    path: Path | None
    crop: Crop | None
    code: MaskCode | None

    def content(self) -> bytes:
        """Raises ImageProblem."""
        return read_bytes(self.path) if self.path else b""

    def key(self, content: bytes, canvas: tuple[int, int]) -> bytes:
        """Of the canvas of a file with this content."""
        kind = self.code.key if self.code else "image" if self.path else "no label"
        crop = [float(edge) for edge in self.crop] if self.crop else None
        parts = hashlib.sha256(content).hexdigest(), kind, crop, canvas, letterbox.VERSION
        return hashlib.sha256(repr(parts).encode()).digest()

    def made(self, content: bytes, canvas: tuple[int, int]) -> tuple[tuple[int, int], Canvas]:
        """Native (rows, columns), and the canvas: NO_LABEL all over for a label map that a row lacks.

        Raises ImageProblem.
        """
        if self.path is None:
            return (0, 0), np.full(canvas, NO_LABEL, np.uint8)
        pixels = self.code.decode(content) if self.code else decode(content).grey
        native = pixels.shape[0], pixels.shape[1]
        return native, Letterbox.fit(native, canvas, self.crop).apply_image(pixels, nearest=self.code is not None)
