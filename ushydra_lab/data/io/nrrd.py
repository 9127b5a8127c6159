"""Reading NRRD files by SimpleITK, as arrays with axes (layer, frame, row, column); the orientation is not applied.

Unlike of NIfTI files, SimpleITK refuses truncated ones of this format. What is refused before: pixels in another file,
and sizes that no volume of the lab has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.data.io.image import ImageProblem
from ushydra_lab.data.io.volumes import MAX_BYTES, check_spacing
from ushydra_lab.errors import UserError

if TYPE_CHECKING:
    from SimpleITK import ImageFileReader

SUFFIX = ".nrrd"
MAGIC = b"NRRD000"
HEADER = 1_000_000  # bytes in which a header ends, with an empty line
NEEDED = "NRRD files need SimpleITK: pip install 'ushydra_lab[slicer]'"


@dataclass(frozen=True, eq=False)
class Nrrd:
    """layers: (layers, frames, rows, columns); spacing: mm along (rows, columns); fields: its key/value pairs."""

    layers: NDArray[np.generic]
    spacing: tuple[float, float]
    fields: Mapping[str, str]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frames, rows, columns)."""
        frames, rows, columns = self.layers.shape[1:]
        return frames, rows, columns


def read(path: Path) -> Nrrd:
    """Raises ImageProblem: damaged, truncated, too large, no volume; UserError: SimpleITK is not installed."""
    try:
        import SimpleITK
    except ImportError:
        raise UserError(NEEDED) from None
    _check_header(path)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("NrrdImageIO")
    try:
        reader.ReadImageInformation()
        _check_size(reader)
        image = reader.Execute()
    except RuntimeError as error:
        raise ImageProblem(
            f"is damaged or truncated ({str(error).strip().splitlines()[-1]}); export it again"
        ) from error
    values = SimpleITK.GetArrayFromImage(image)
    layers = values[None] if image.GetNumberOfComponentsPerPixel() == 1 else np.moveaxis(values, -1, 0)
    across, down = image.GetSpacing()[:2]
    check_spacing((down, across))
    fields = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    return Nrrd(layers.reshape(len(layers), -1, *layers.shape[-2:]), (down, across), fields)


def _check_header(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(HEADER)
    except OSError as error:
        raise ImageProblem(f"cannot be read: {error.strerror}") from error
    header = start.replace(b"\r", b"").partition(b"\n\n")[0].lower()
    if not header.startswith(MAGIC.lower()) or header == start.lower():
        raise ImageProblem("is no NRRD file, or its header is truncated; export it again")
    if b"\ndata file:" in header or b"\ndatafile:" in header:
        raise ImageProblem("has its pixels in another file; save it as one file (.nrrd)")


def _check_size(reader: "ImageFileReader") -> None:
    size, components = reader.GetSize(), reader.GetNumberOfComponents()
    if len(size) not in (2, 3) or prod(size) * components * 8 > MAX_BYTES:
        raise ImageProblem(
            f"claims {' x '.join(map(str, size))} px of {components} values, which is no volume of frames"
        )
