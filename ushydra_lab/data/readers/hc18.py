"""HC18: fetal heads with the outline of the head circumference.

T. L. A. van den Heuvel et al., Automated measurement of fetal head circumference using 2D ultrasound images,
PLoS ONE 13(8), 2018; Zenodo, doi 10.5281/zenodo.1327317, licence CC BY 4.0; Radboud University Medical Center,
Nijmegen. `training_set/NNN_HC.png` with `NNN_HC_Annotation.png`, `test_set/NNN_HC.png`, and two CSVs of pixel sizes.
"""

import re
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from ushydra_lab.data.io.files import exists, files
from ushydra_lab.data.io.image import ImageProblem, in_threads, read_bytes
from ushydra_lab.data.io.masks import MaskCode, outline_ellipse
from ushydra_lab.data.readers import folders
from ushydra_lab.data.readers.tables import file_names, read_table, stacked
from ushydra_lab.data.source import Source
from ushydra_lab.data.vocabulary import ANNOTATIONS
from ushydra_lab.errors import UserError

SITE = "HC18"
DOWNLOAD = "download HC18 (doi.org/10.5281/zenodo.1327317)"
TRAIN, TEST = "training_set_pixel_size_and_HC.csv", "test_set_pixel_size.csv"
FOLDERS = {TRAIN: "training_set", TEST: "test_set"}
NAME, PIXEL, HC = "filename", "pixel size(mm)", "head circumference (mm)"
LINES = MaskCode(("head",), {(255, 255, 255): 1})
MASKS = replace(LINES, outline=True)
LANDMARKS = list(ANNOTATIONS["landmarks"].columns)


def read(root: str | PathLike[str], strict: bool = False) -> Source:
    """One row per image of both CSVs: mask of the head, its circumference (mm), the end points of OFD and BPD (px).

    The annotations are ellipses whose line is 3 px wide; its middle is the head's edge: the perimeter there agrees
    with the published circumference within 0.01 mm on average, while the outer edge gives 1 mm more. So the mask is
    filled to the middle, and OFD and BPD are the ellipse's axes; an end point that lies outside the image leaves
    the image without landmarks. `NNN_2HC.png` is a further scan of the fetus of `NNN_HC.png`. Training images are
    of part train. The test images' annotations were never published, so nothing can be tested on them: they are of
    no part, for whoever can use images alone; their numbers are those of other fetuses. strict: see `Source`. Raises
    UserError: no CSV.
    """
    root = folders.existing(root, DOWNLOAD)
    train = training(root)
    train["mask"] = train["image"].map(lambda image: image.removesuffix(".png") + "_Annotation.png")
    ends = in_threads(lambda mask: _ends(root / mask), list(train["mask"]), "Fitting ellipses")
    train[LANDMARKS] = np.reshape(ends, (len(train), len(LANDMARKS)))
    if cut := sum(exists(root / mask) for mask in train.loc[train[LANDMARKS[0]].isna(), "mask"]):
        print(f"{SITE}: {cut} outlines have no diameters within the image: they get no landmarks")
    tables = {TRAIN: train}
    if (csv := _csv(root).with_name(TEST)).exists():
        test = _rows(csv, read_table(csv, [NAME, PIXEL]), root)
        tables[TEST] = test.assign(subject="test_" + test["subject"], part="", mask="")
    return Source(stacked(tables), "HC18", root, MASKS, partial=True, strict=strict)


def training(root: Path) -> pd.DataFrame:
    """The training images as a manifest without masks and landmarks. Raises UserError: no CSV."""
    csv = _csv(root)
    table = read_table(csv, [NAME, PIXEL, HC])
    return _rows(csv, table, root).assign(part="train", hc_mm=table[HC])


def _csv(root: Path) -> Path:
    found = [path for path in files(root, ".csv") if path.name == TRAIN]
    if not found:
        raise UserError(
            f"{root}: no {TRAIN} here; {DOWNLOAD}, unpack training_set.zip beside it and set data.root to its folder"
        )
    return found[0]


def _rows(csv: Path, table: pd.DataFrame, root: Path) -> pd.DataFrame:
    names = file_names(csv, table[NAME])
    folder = csv.parent / FOLDERS[csv.name]
    deeper = folder / folder.name  # where an archive was unpacked into a folder of its own name
    home = (deeper if deeper.is_dir() else folder).relative_to(root).as_posix()
    columns = {"image": f"{home}/" + names, "site": SITE, "subject": names.map(subject_of), "pixel_mm": table[PIXEL]}
    return pd.DataFrame(columns)


def subject_of(name: str) -> str:
    """'010' of 010_HC.png and 010_2HC.png."""
    return re.sub(r"_\d*[A-Z]+$", "", Path(name).stem)


def _ends(mask: Path) -> list[float]:
    """The columns of `landmarks`; NaN where there is no outline or an end point outside the image."""
    try:
        labels = LINES.decode(read_bytes(mask))
        ends = outline_ellipse(labels).ends
    except ImageProblem:  # of an image that is there, the check says so
        return [np.nan] * len(LANDMARKS)
    inside = (ends >= 0).all() and (ends <= labels.shape[::-1]).all()
    return ends.ravel().tolist() if inside else [np.nan] * len(LANDMARKS)
