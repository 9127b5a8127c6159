"""Reader for your own images: a CSV or Excel file with one row per image (columns: see `vocabulary` and `manifest`)."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from ushydra_lab.data.io.files import files, spelt
from ushydra_lab.data.io.masks import MaskCode
from ushydra_lab.data.io.resample import resampled
from ushydra_lab.data.readers.tables import read_table
from ushydra_lab.data.source import Source
from ushydra_lab.data.vocabulary import REQUIRED
from ushydra_lab.errors import UserError

ABSENT = "no such manifest; give the path of a CSV or Excel file (data.path=...)"


def read(
    path: str | PathLike[str],
    structures: Mapping[str, int | list[int]] | None = None,
    resample: str | None = None,
    cache: str | PathLike[str] = "",
) -> Source:
    """The rows; paths of images and masks are relative to the file, a CSV or an Excel workbook (see `sheets`). A column
    without any value counts as absent.

    structures: the names of what the masks show, each with its grey value or [red, green, blue]; black is background.
    resample='declared': images of another size than the columns `width` and `height` say are brought to that size, as
    PNG in `cache`.
    Raises UserError: no such file, a folder or no table, a column `mask` without structures or the reverse, no colours.
    """
    path = spelt(Path(path))
    if path.is_dir():
        found = ", ".join([file.name for file in files(path, ".csv", ".xlsx") if file.parent == path][:3])
        raise UserError(
            f"{path}: is a folder; give a CSV or Excel file{f' in it ({found})' if found else ''} with one row per "
            f"image (columns image, site, subject), or a data set as it was published: data=NAME data.root={path}"
        )
    table = read_table(path, absent=ABSENT)
    empty = [column for column in table if column not in REQUIRED and not table[column].str.strip().any()]
    table = table.drop(columns=empty)
    if "mask" in table and not structures:
        raise UserError(
            f"{path}: has masks; say which colour is what, e.g. data.structures={{head: 255}}, "
            "or data.structures={brain: [255,0,0], csp: [0,255,0]}"
        )
    if structures and "mask" not in table:
        raise UserError(f"{path}: has no column 'mask', which data.structures is about; add it or leave that out")
    try:
        masks = MaskCode.of(structures) if structures else None
    except ValueError as error:
        raise UserError(f"data.structures: {error}") from error
    return resampled(Source(table, str(path), path.parent, masks), cache, resample)
