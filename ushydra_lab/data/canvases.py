"""The images and annotations of one part, of which batches are made."""

from torch import Tensor
from torch.utils.data import Dataset

from ushydra_lab.data.affine import Batch
from ushydra_lab.data.io.mapped import read_ahead


class Canvases(Dataset[Batch]):
    """Images of one part as uint8, mapped into memory; a batch is built in one go, `fields` by fields."""

    def __init__(self, pixels: Tensor, fields: Batch, rows: Tensor) -> None:
        """pixels: (N, H, W) uint8; fields: (N, ...) each; rows: which of the N belong to this data set."""
        self.pixels, self.fields, self.rows = pixels, fields, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        return {key: values[0] for key, values in self.__getitems__([index]).items()}

    def __getitems__(self, indices: list[int]) -> Batch:
        rows = self.rows[indices]
        read_ahead(rows, self.pixels, *self.fields.values())
        image = self.pixels[rows].unsqueeze(1).float().div_(255)
        return {"image": image, **{key: values[rows] for key, values in self.fields.items()}}
