"""Dataset for Fetus Framework: first-trimester mid-sagittal planes with boxes of nine structures.

F. Cui and F. Dong, Mendeley Data, 2022, doi 10.17632/n2rbrb9t4f, licence CC BY 4.0; Shenzhen People's
Hospital. `ObjectDetection.xlsx` (fname, structure, h_min, w_min, h_max, w_max; rows before columns) stands
beside the image sets; a box belongs to the image of that name in a `Standard` folder of any of them, however
the folders are spelt.
"""

from os import PathLike
from pathlib import Path

import pandas as pd

from ushydra_lab.data.io.files import files
from ushydra_lab.data.readers import folders
from ushydra_lab.data.readers.tables import digest, file_names, read_table, shift_coordinates
from ushydra_lab.data.source import Source
from ushydra_lab.errors import UserError, printable

DOWNLOAD = "download 'Dataset for Fetus Framework' (doi.org/10.17632/n2rbrb9t4f)"
SHEET = "ObjectDetection.xlsx"
COLUMNS = ["fname", "structure", "h_min", "w_min", "h_max", "w_max"]
EDGES = {"w_min": "_x1", "h_min": "_y1", "w_max": "_x2", "h_max": "_y2"}
SITE = "fetus_framework"


def read(root: str | PathLike[str], strict: bool = False) -> Source:
    """One row per image that the sheet names, with a box of every structure it has there: nt_x1, nasal_bone_x1, ...

    The limits are read as inclusive pixel indices, which the data set does not say: the box ends at the far
    edge of pixel h_max, w_max, i.e. x2 = w_max + 1, y2 = h_max + 1. One image is one subject; images of the
    same content share theirs. There is no pixel spacing. strict: see `Source`. Raises UserError: no
    such folder or sheet, two boxes of one structure in one image.
    """
    root = folders.existing(root, DOWNLOAD)
    sheet = _sheet(root)
    boxes = _boxes(sheet)
    table = pd.DataFrame({"image": boxes["fname"].unique()})
    table.index = pd.Index(boxes.index[~boxes["fname"].duplicated()], name="line")
    for structure, limits in boxes.groupby("structure"):
        columns = {limit: f"{structure}{edge}" for limit, edge in EDGES.items()}
        table = table.join(limits.set_index("fname")[list(EDGES)].rename(columns=columns), on="image")
    images = _images(root)
    subjects: dict[str, str] = {}
    table["site"] = SITE
    table["subject"] = [
        subjects.setdefault(images[name][1], name) if name in images else name for name in table["image"]
    ]
    table["image"] = [str(images[name][0]) if name in images else name for name in table["image"]]
    return Source(table, f"{SITE} ({SHEET})", root, partial=True, strict=strict)


def _sheet(root: Path) -> Path:
    sheets = [path for path in files(root, ".xlsx") if path.name == SHEET]
    if not sheets:
        raise UserError(f"{root}: no {SHEET} here; {DOWNLOAD}, unpack it and set data.root to its folder")
    return sheets[0]


def _boxes(sheet: Path) -> pd.DataFrame:
    """The sheet's rows by line, structures as words of column names, edges instead of indices."""
    table = read_table(sheet, COLUMNS)
    names = file_names(sheet, table["fname"])
    structures = table["structure"].str.strip()
    words = structures.str.lower().str.replace(r"\W+", "_", regex=True)
    repeated = pd.DataFrame({"fname": names, "structure": words}).duplicated()
    problems = [f"line {line}: {names[line]} has a second box of {structures[line]}" for line in names.index[repeated]]
    unusable = words.index[words.isin(["", "crop"])]
    problems += [f"line {line}: {structures[line]!r} is no name of a structure" for line in unusable]
    if problems:
        raise UserError.listing(f"{sheet}: boxes that are nobody's", problems)
    edges = table[list(EDGES)].copy()
    edges[["w_max", "h_max"]] = shift_coordinates(edges[["w_max", "h_max"]], 1)
    return edges.assign(fname=names, structure=words)


def _images(root: Path) -> dict[str, tuple[Path, str]]:
    """name -> path under root and digest. A name of several images is left out: whose box would it be?"""
    found: dict[str, dict[str, Path]] = {}
    for path in reversed(files(root, ".png")):
        if path.parent.name.strip().lower() == "standard" and path.is_file():
            found.setdefault(path.name, {})[digest(path)] = path.relative_to(root)
    unique = {name: (path, key) for name, files in found.items() if len(files) == 1 for key, path in files.items()}
    if ambiguous := sorted(found.keys() - unique.keys()):
        print(printable(f"{SITE}: {len(ambiguous)} names of several images are left out: {', '.join(ambiguous)}"))
    return unique
