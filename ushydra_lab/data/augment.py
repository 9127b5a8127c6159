"""Random augmentation of training batches, image and annotations together, on the batch's device.

An augmentation takes a batch (`datamodule`) and a numpy generator, which alone decides: the same generator state gives
the same batch, on every device up to rounding. It returns a new batch and leaves the given one alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from kornia.enhance import adjust_brightness, adjust_contrast, equalize_clahe
from numpy.typing import NDArray
from torch import Tensor

from ushydra_lab.data.affine import Batch, anchors, canvas_size, mirror, shift, warp
from ushydra_lab.devices import sent

Augmentation = Callable[[Batch, np.random.Generator], Batch]

CLAHE_TILES = (8, 8)
CLAHE_CLIPS = (1.0, 4.0)


@dataclass(frozen=True)
class Chain:
    """One augmentation after the other. `Photometric` goes before `RandomAffine`, while `content` is exact."""

    steps: Sequence[Augmentation]

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        for step in self.steps:
            batch = step(batch, rng)
        return batch


@dataclass(frozen=True)
class FlipShift:
    """Mirror left and right with probability `flip`, then move by whole px, at most `shift` each way, zeros moving in.

    Exact: no pixel value is interpolated. A shift is shortened where an annotated box or point would leave the canvas.
    """

    flip: float = 0.5
    shift: int = 8

    def __post_init__(self) -> None:
        """Raises ValueError."""
        _refuse(self, flip=1, shift=np.inf)

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        count = len(batch["image"])
        mirrored = rng.random(count) < self.flip
        return _moved_exactly(batch, mirrored, rng.integers(-self.shift, self.shift + 1, (count, 2)))


@dataclass(frozen=True)
class RandomAffine:
    """Mirror with probability `flip`, rotate and zoom about the canvas' centre, then shift; every limit both ways.

    rotate_deg: degrees; shift: fraction of the canvas' width and height; scale: fraction, so that 0.1 zooms by 0.9 to
    1.1. Each is drawn uniformly and independently for every image. Shifts are whole px: by a part of one, a mask,
    which has no values between pixels, would part from its image. Without rotation and zoom all is exact, as in
    `FlipShift`.

    Annotated points and box corners on the canvas stay on it: where they would not, the shift is shortened, and the
    zoom lowered (beyond `scale` if need be) where they would not fit. The order of landmarks is not changed:
    after a mirroring the left one is on the right. `affine.warp` says what becomes of each annotation.
    """

    flip: float = 0.5
    rotate_deg: float = 10.0
    shift: float = 0.0625
    scale: float = 0.1

    def __post_init__(self) -> None:
        """Raises ValueError."""
        _refuse(self, flip=1, rotate_deg=180, shift=0.5, scale=0.9)

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        count, (height, width) = len(batch["image"]), batch["image"].shape[-2:]
        mirrored, draws = rng.random(count) < self.flip, rng.uniform(-1, 1, (count, 2))
        limit = np.array([self.shift * width, self.shift * height], dtype=int)
        steps = rng.integers(-limit, limit + 1, (count, 2))
        if not (self.rotate_deg or self.scale):
            return _moved_exactly(batch, mirrored, steps)
        linear = _like(batch["image"], _rotation(np.radians(self.rotate_deg * draws[:, 0]), mirrored))
        zoom, step = _like(batch["image"], 1 + self.scale * draws[:, 1:]), _like(batch["image"], steps)
        return warp(batch, _fitted(linear, zoom, step, batch))


@dataclass(frozen=True)
class Photometric:
    """Grey values alone: contrast and brightness, together with probability `p`, then CLAHE with probability `clahe`.

    Image x becomes c x + b within [0, 1], with c from 1 - contrast to 1 + contrast and b from -brightness to
    brightness. CLAHE: 8 x 8 tiles of the canvas, clip limit from 1 to 4. Padding, outside `content`, is left as it is.

    Defaults: thesis 4, section 3.3, gives p and the probability of CLAHE; the other figures are those of Albumentations
    2.0 (Buslaev et al., Information 2020, 11, 125), which it used.
    """

    brightness: float = 0.2
    contrast: float = 0.2
    p: float = 0.3
    clahe: float = 0.2

    def __post_init__(self) -> None:
        """Raises ValueError."""
        _refuse(self, brightness=1, contrast=1, p=1, clahe=1)

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Raises ValueError where CLAHE is asked for on a canvas of fewer than 9 rows or columns."""
        image, count = batch["image"], len(batch["image"])
        draws = rng.uniform(-1, 1, (count, 2)) * (rng.random((count, 1)) < self.p)
        equalised, clips = rng.random(count) < self.clahe, rng.uniform(*CLAHE_CLIPS, count)
        contrast, brightness = (
            _like(image, 1 + self.contrast * draws[:, 0]),
            _like(image, self.brightness * draws[:, 1]),
        )
        changed = adjust_brightness(adjust_contrast(image, contrast, clip_output=False), brightness)
        for row in np.flatnonzero(equalised):
            changed[row] = _equalised(changed[row], float(clips[row]))
        return {**batch, "image": torch.where(content_mask(batch["content"], image), changed, image)}


def _equalised(image: Tensor, clip: float) -> Tensor:
    equalised: Tensor = equalize_clahe(image, clip, CLAHE_TILES)
    return equalised


def _refuse(augmentation: object, **highest: float) -> None:
    """Raises ValueError naming every setting that is not between 0 and its highest."""
    settings = [(name, getattr(augmentation, name), high) for name, high in highest.items()]
    wrong = [
        f"{name}={value} must lie between 0 and {high}" for name, value, high in settings if not 0 <= value <= high
    ]
    if wrong:
        raise ValueError("; ".join(wrong))


def _like(tensor: Tensor, values: NDArray[Any]) -> Tensor:
    return sent(values, tensor, tensor.dtype)


def _moved_exactly(batch: Batch, mirrored: NDArray[np.bool_], steps: NDArray[np.int64]) -> Batch:
    """Mirrored where (B,), then moved by steps (B, 2) px, shortened where an annotation would leave the canvas."""
    image = batch["image"]
    batch = mirror(batch, sent(mirrored, image))
    if not steps.any():
        return batch
    return shift(batch, _kept_inside(sent(steps, image), anchors(batch), canvas_size(batch)))


def _rotation(angle: NDArray[np.float64], mirrored: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(B, 2, 2): mirror x, then rotate by `angle` from x towards y."""
    cosine, sine, sign = np.cos(angle), np.sin(angle), np.where(mirrored, -1.0, 1.0)
    return np.stack([sign * cosine, -sine, sign * sine, cosine], axis=1).reshape(-1, 2, 2)


def _kept_inside(steps: Tensor, anchors: Tensor, size: Tensor) -> Tensor:
    """Whole steps (x, y) after which the anchors still lie on the canvas; a missing one (NaN) sets no limit."""
    least = (-anchors).nan_to_num(-torch.inf).amax(dim=1).ceil()
    most = (size - anchors).nan_to_num(torch.inf).amin(dim=1).floor()
    return steps.clamp(least, most).to(steps.dtype)


def _fitted(linear: Tensor, zoom: Tensor, step: Tensor, batch: Batch) -> Tensor:
    """The map (B, 2, 3) about the canvas' centre, after which the batch's annotations still lie on the canvas.

    linear: (B, 2, 2); zoom: (B, 1) and step: (B, 2) px, changed only where they must be.
    """
    size = canvas_size(batch)
    centre = size / 2
    from_centre = (linear[:, None] * (anchors(batch) - centre)[:, :, None]).sum(dim=3)
    from_centre = from_centre.nan_to_num(0)  # the centre sets no limit: it stays on the canvas by itself
    low, high = from_centre.amin(dim=1), from_centre.amax(dim=1)
    zoom = zoom.minimum((size / (high - low)).amin(dim=1, keepdim=True))
    step = step.clamp(-centre - zoom * low, centre - zoom * high)
    linear = zoom[:, :, None] * linear
    return torch.cat([linear, (centre + step - (linear * centre).sum(dim=2))[:, :, None]], dim=2)


def content_mask(box: Tensor, image: Tensor) -> Tensor:
    """(B, 1, H, W): pixels whose centre lies in the box."""
    x1, y1, x2, y2 = box[:, :, None, None, None].unbind(1)
    y, x = (torch.arange(side, device=box.device) + 0.5 for side in image.shape[-2:])
    rows, columns = (y1 <= y[:, None]) & (y[:, None] <= y2), (x1 <= x) & (x <= x2)
    return rows & columns
