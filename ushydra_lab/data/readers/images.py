"""Reader for a folder of image files without a table: to look at, predict, or use as out-of-distribution images."""

from os import PathLike
from pathlib import Path

import pandas as pd

from ushydra_lab.data.io import files
from ushydra_lab.data.readers import folders
from ushydra_lab.data.source import Source
from ushydra_lab.data.vocabulary import nearest
from ushydra_lab.errors import UserError, printable

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm")
SUBJECTS = ("image", "folder")


def read(root: str | PathLike[str], site: str, subject: str = "image", strict: bool = False) -> Source:
    """One row per image file below root. site: of the whole folder; subject: every image is a person of its own, or
    every folder that directly holds images; strict: see `Source`. Raises UserError: no such folder, no image in it.
    """
    if subject not in SUBJECTS:
        raise UserError(f"data.subject = {subject!r} is not one of {', '.join(SUBJECTS)}{nearest(subject, SUBJECTS)}")
    base = folders.existing(root, "give the folder of your images")
    paths = [path.relative_to(base) for path in files.files(base, *SUFFIXES)]
    if not paths:
        raise UserError(f"{base}: no image here ({', '.join(SUFFIXES)}); set data.root to their folder")
    whose = [path if subject == "image" else path.parent for path in paths]
    names = [printable(str(name)) for name in whose]
    table = pd.DataFrame({"image": list(map(str, paths)), "site": folders.site_name(site), "subject": names})
    return Source(table.rename_axis(index="row"), f"images ({Path(base).name})", base, partial=True, strict=strict)
