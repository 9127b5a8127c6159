"""Maternal-fetal planes of five low-resource centres: Algeria, Egypt, Ghana, Malawi, Uganda.

C. Sendra-Balcells et al., Scientific Reports 13, 2728 (2023); Zenodo, doi 10.5281/zenodo.7540448, licence CC BY 4.0.
`African_planes_database.csv` (Patient_num, Plane, Train, Center, Filename without .png) stands beside a folder of
images per country. 450 images; planes abdomen, brain, femur, thorax; no pixel spacing.
"""

from os import PathLike

import pandas as pd

from ushydra_lab.data.readers import folders
from ushydra_lab.data.readers.fetal_planes import PARTS, PLANES, translated
from ushydra_lab.data.readers.tables import read_table
from ushydra_lab.data.source import Source

NAME = "african_planes"
SHEET = "African_planes_database.csv"
COLUMNS = ["Patient_num", "Plane", "Train", "Center", "Filename"]
DOWNLOAD = "download the African planes (doi.org/10.5281/zenodo.7540448)"


def read(root: str | PathLike[str], strict: bool = False) -> Source:
    """One row per image; the site is the country. Patient_num starts anew in each: a subject is both together.

    Rows whose image is not there are left out by the check, and those whose image cannot be used unless strict. Raises
    UserError: no such folder or table, planes or parts that are not the data set's.
    """
    folder = folders.holding(root, SHEET, DOWNLOAD)
    rows = read_table(folder / SHEET, COLUMNS).apply(lambda cells: cells.str.strip())
    words = translated(rows, folder / SHEET, {"Plane": PLANES, "Train": PARTS})
    table = pd.DataFrame(
        {
            "image": rows["Center"] + "/" + rows["Filename"].str.removesuffix(".png") + ".png",
            "site": rows["Center"],
            "subject": rows["Patient_num"],
            "part": words["Train"],
            "plane": words["Plane"],
        }
    )
    return Source(table, f"{NAME} ({SHEET})", folder, partial=True, strict=strict)
