"""FETAL_PLANES_DB: maternal-fetal planes of two hospitals in Barcelona, classified by an expert.

X. P. Burgos-Artizzu et al., Scientific Reports 10, 10200 (2020); Zenodo, doi 10.5281/zenodo.3904280, licence CC BY 4.0.
`FETAL_PLANES_DB_data.csv` (separated by `;`: Image_name without .png, Patient_num, Plane, Brain_plane, Operator,
US_Machine, Train) stands beside the folder `Images`. 12,400 images of 1,792 patients; no pixel spacing.
"""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import pandas as pd

from ushydra_lab.data.readers import folders
from ushydra_lab.data.readers.tables import of_one_unit, read_table
from ushydra_lab.data.source import Source
from ushydra_lab.errors import UserError

NAME = "fetal_planes"
SHEET = "FETAL_PLANES_DB_data.csv"
COLUMNS = ["Image_name", "Patient_num", "Plane", "Brain_plane", "Operator", "US_Machine", "Train"]
DOWNLOAD = "download FETAL_PLANES_DB (doi.org/10.5281/zenodo.3904280)"
PLANES = {
    "Fetal abdomen": "abdomen",
    "Fetal brain": "brain",
    "Fetal femur": "femur",
    "Fetal thorax": "thorax",
    "Maternal cervix": "cervix",
    "Other": "other",
}
OTHER = "Other"
PARTS = {"1": "train", "0": "test"}


def read(
    root: str | PathLike[str], by_machine: bool = True, other_machines: bool = True, strict: bool = False
) -> Source:
    """One row per image; its plane, the data set's own words for the brain plane, its train and test part.

    The data set does not say which hospital an image is from: the site is the ultrasound machine, the unit that its
    authors hold out, or with by_machine=False the same for all. Of a patient seen with several machines only the images
    of the one that took most are kept, else the patient would be trained and tested on. Three machines are named, the
    fourth, Other, is all the rest together: other_machines=False leaves its images out. Rows whose image is not there
    are left out by the check, and those whose image cannot be used unless strict. Raises UserError: no such folder or
    table, planes or parts that are not the data set's.
    """
    folder = folders.holding(root, SHEET, DOWNLOAD)
    rows = read_table(folder / SHEET, COLUMNS).apply(lambda cells: cells.str.strip())
    words = translated(rows, folder / SHEET, {"Plane": PLANES, "Train": PARTS})
    if not other_machines:
        named = rows["US_Machine"] != OTHER
        print(f"{NAME}: {(~named).sum()} images of the machine {OTHER} are left out (other_machines)")
        rows, words = rows[named], words[named]
    if by_machine:
        kept = of_one_unit(rows, "Patient_num", "US_Machine")
        print(f"{NAME}: {(~kept).sum()} images of patients seen with several machines are left out (by_machine)")
        rows, words = rows[kept], words[kept]
    table = pd.DataFrame(
        {
            "image": "Images/" + rows["Image_name"].str.removesuffix(".png") + ".png",
            "site": _as_site(rows["US_Machine"]) if by_machine else NAME,
            "subject": rows["Patient_num"],
            "part": words["Train"],
            "plane": words["Plane"],
            "brain_plane": rows["Brain_plane"],
            "operator": rows["Operator"],
            "us_machine": rows["US_Machine"],
        }
    )
    return Source(table, f"{NAME} ({SHEET})", folder, partial=True, strict=strict)


def machines(sheet: Path) -> pd.Series:
    """Image name without suffix -> its machine as the name of a site. Raises UserError: no such table, names twice."""
    rows = read_table(sheet, ["Image_name", "US_Machine"], absent=DOWNLOAD).apply(lambda cells: cells.str.strip())
    names = rows["Image_name"].str.removesuffix(".png")
    twice = [f"line {line}: {name}" for line, name in names[names.duplicated()].items()]
    if twice:
        raise UserError.listing(f"{sheet}: an image has one row; these have a second", twice)
    return _as_site(rows["US_Machine"]).set_axis(names)


def _as_site(machine: pd.Series) -> pd.Series:
    return machine.str.replace(r"[^\w.+-]+", "_", regex=True)


def translated(rows: pd.DataFrame, sheet: PathLike[str], words: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """The columns of `words` in our words, empty cells as they are. Raises UserError listing every other cell that has
    none, by its line.
    """
    problems = [
        f"line {line}: {column} = {cell!r} is not one of {', '.join(known)}"
        for column, known in words.items()
        for line, cell in rows.loc[~rows[column].isin(["", *known]), column].items()
    ]
    if problems:
        raise UserError.listing(
            f"{sheet}: cells that are not the data set's; is the separator or a column off?", problems
        )
    return pd.DataFrame({column: rows[column].map({"": "", **known}) for column, known in words.items()})
