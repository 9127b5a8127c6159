"""Dataset for Fetus Framework: first-trimester mid-sagittal planes with boxes of nine structures.

F. Cui and F. Dong, Mendeley Data, 2022, doi 10.17632/n2rbrb9t4f, licence CC BY 4.0; Shenzhen People's
Hospital. `ObjectDetection.xlsx` (fname, structure, h_min, w_min, h_max, w_max; rows before columns) stands
beside the image sets; a box belongs to the image of that name in a `Standard` folder of any of them, however
the folders are spelt.
"""

import hashlib
from os import PathLike
from pathlib import Path

import pandas as pd

from ushydra_lab.data.manifest import Manifest
from ushydra_lab.errors import UserError

SHEET = "ObjectDetection.xlsx"
COLUMNS = ["fname", "structure", "h_min", "w_min", "h_max", "w_max"]
SITE = "fetus_framework"


def read(root: str | PathLike[str], structure: str = "NT") -> Manifest:
    """One row per image with a box of `structure`, which becomes the manifest's nt_box whatever the
    structure.

    The limits are read as inclusive pixel indices, which the data set does not say: the box ends at the far
    edge of pixel h_max, w_max, i.e. x2 = w_max + 1, y2 = h_max + 1. One image is one subject; images of the
    same content share theirs. There is no pixel spacing. Raises UserError: no such folder, sheet or
    structure.
    """
    root = Path(root)
    boxes = _boxes(_sheet(root), structure)
    images = _images(root)
    present = boxes[boxes["fname"].isin(images)]
    print(f"{SITE}: {len(present)} of {len(boxes)} images with a box of {structure} are under {root}")
    if present.empty:
        raise UserError(f"{root}: holds no image that {SHEET} names; the sets' Standard folders belong beside it")
    paths = present["fname"].map(images)
    content = paths.map(lambda path: _digest(root / path))
    table = pd.DataFrame(
        {
            "image": paths.map(str),
            "site": SITE,
            "subject": present.groupby(content)["fname"].transform("first"),
            "nt_x1": present["w_min"],
            "nt_y1": present["h_min"],
            "nt_x2": present["w_max"] + 1,
            "nt_y2": present["h_max"] + 1,
        }
    )
    return Manifest.checked(table, f"{SITE} ({SHEET})", root)


def _sheet(root: Path) -> Path:
    sheets = sorted(root.rglob(SHEET)) if root.is_dir() else []
    if not sheets:
        raise UserError(
            f"{root}: no {SHEET} here; download 'Dataset for Fetus Framework' (doi.org/10.17632/n2rbrb9t4f), "
            "unpack it and set data.root to its folder"
        )
    return sheets[0]


def _boxes(sheet: Path, structure: str) -> pd.DataFrame:
    table = pd.read_excel(sheet, dtype={"fname": str, "structure": str})
    if missing := [column for column in COLUMNS if column not in table]:
        raise UserError(f"{sheet}: columns {', '.join(missing)} are missing; the data set has {', '.join(COLUMNS)}")
    table.index = pd.RangeIndex(2, len(table) + 2, name="line")
    boxes = table[table["structure"].str.strip() == structure]
    if boxes.empty:
        known = ", ".join(sorted(table["structure"].dropna().unique()))
        raise UserError(f"{sheet}: no box of structure {structure!r}; it has {known}")
    return boxes.assign(fname=boxes["fname"].str.strip())


def _images(root: Path) -> dict[str, Path]:
    """name -> path under root. A name of several images is left out: whose box would it be?"""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(root.rglob("*.png"), reverse=True):
        if path.parent.name.strip().lower() == "standard":
            found.setdefault(path.name, {})[_digest(path)] = path.relative_to(root)
    unique = {name: next(iter(contents.values())) for name, contents in found.items() if len(contents) == 1}
    if ambiguous := sorted(found.keys() - unique.keys()):
        print(f"{SITE}: {len(ambiguous)} names of several images are left out: {', '.join(ambiguous)}")
    return unique


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
