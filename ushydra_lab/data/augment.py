"""Random changes of training images, on image and annotations together, on whatever device the batch lies."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ushydra_lab.data.vocabulary import ANNOTATIONS


@dataclass(frozen=True)
class FlipShift:
    """Mirror left and right with probability `flip`, then move by whole px, at most `shift` each way, zeros moving in.

    Exact: no pixel value is interpolated. A shift is shortened where an annotated box would leave the canvas.
    """

    flip: float = 0.5
    shift: int = 8

    def __post_init__(self) -> None:
        if not 0 <= self.flip <= 1 or self.shift < 0:
            raise ValueError(f"flip={self.flip} must lie between 0 and 1, shift={self.shift} must not be negative")

    def __call__(self, batch: dict[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
        """A new batch; `rng` decides, so the same generator state gives the same batch."""
        boxes = {name for name, known in ANNOTATIONS.items() if known.kind == "box" and name in batch}
        count, width = len(batch["image"]), batch["image"].shape[-1]
        mirrored = torch.from_numpy(rng.random(count) < self.flip).to(batch["image"].device)
        image = torch.where(mirrored[:, None, None, None], batch["image"].flip(-1), batch["image"])
        moved = {k: torch.where(mirrored[:, None], _mirror(batch[k], width), batch[k]) for k in (*boxes, "content")}
        steps = torch.from_numpy(rng.integers(-self.shift, self.shift + 1, (count, 2))).to(image.device)
        for name in boxes:
            steps = _kept_inside(steps, moved[name], image.shape[-2:])
        moved = {name: box + torch.cat([steps, steps], dim=1) for name, box in moved.items()}
        moved["content"] = _clipped(moved["content"], image.shape[-2:])
        return {
            **batch,
            **moved,
            "image": torch.stack([_shifted(i, s) for i, s in zip(image, steps.tolist(), strict=True)]),
        }


def _mirror(box: Tensor, width: int) -> Tensor:
    x1, y1, x2, y2 = box.unbind(1)
    return torch.stack([width - x2, y1, width - x1, y2], dim=1)


def _kept_inside(steps: Tensor, box: Tensor, shape: torch.Size) -> Tensor:
    """Whole steps (x, y) after which the box still lies on the canvas; a missing box (NaN) sets no limit."""
    height, width = shape
    least = (-box[:, :2]).ceil().nan_to_num(-torch.inf)
    most = (torch.tensor([width, height], device=box.device) - box[:, 2:]).floor().nan_to_num(torch.inf)
    return steps.clamp(least, most).to(steps.dtype)


def _clipped(box: Tensor, shape: torch.Size) -> Tensor:
    height, width = shape
    return box.clamp(min=0).minimum(torch.tensor([width, height, width, height], device=box.device))


def _shifted(image: Tensor, step: list[int]) -> Tensor:
    """(1, H, W) moved by step = (x, y)."""
    (dx, dy), (height, width) = step, image.shape[-2:]
    result = torch.zeros_like(image)
    target = (slice(max(dy, 0), height + min(dy, 0)), slice(max(dx, 0), width + min(dx, 0)))
    source = (slice(max(-dy, 0), height + min(-dy, 0)), slice(max(-dx, 0), width + min(-dx, 0)))
    result[:, *target] = image[:, *source]
    return result
