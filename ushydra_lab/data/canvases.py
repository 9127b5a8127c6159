"""The images and annotations of one part, of which batches are made."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ushydra_lab.data.affine import Batch
from ushydra_lab.data.io.mapped import read_ahead
from ushydra_lab.devices import has_room, reading_waits, sent


class Canvases(Dataset[Batch]):
    """Images of one part as uint8, mapped into memory or on a GPU; a batch is built in one go, `fields` by fields."""

    def __init__(self, pixels: Tensor, fields: Batch, rows: Tensor) -> None:
        """pixels: (N, H, W) uint8; fields: (N, ...) each; rows: which of the N belong to this data set."""
        self.pixels, self.fields, self.rows = pixels, fields, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        return {key: values[0] for key, values in self.__getitems__([index]).items()}

    def __getitems__(self, indices: list[int]) -> Batch:
        rows = self.rows[indices]
        if not reading_waits(self.pixels):
            read_ahead(rows, self.pixels, *self.fields.values())
        rows = sent(rows, self.pixels)
        # a GPU multiplies by 1 / 255 where it is a number of Python's, which has other last bits
        image = self.pixels[rows].unsqueeze(1).float().div_(sent(255.0, self.pixels))
        return {"image": image, **{key: values[rows] for key, values in self.fields.items()}}

    def near(self, device: torch.device) -> Canvases:
        """The same images on a GPU that has room for them, so that batches are made there; else as they are."""
        arrays = self.pixels, *self.fields.values()
        if not has_room(device, len(self) * sum(values[:1].nbytes for values in arrays)):
            return self
        pixels, *fields = (values[self.rows].to(device, non_blocking=True) for values in arrays)
        return Canvases(pixels, dict(zip(self.fields, fields, strict=True)), torch.arange(len(self)))
