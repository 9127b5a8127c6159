"""Audit of what there is to learn from: images that show nothing, too few subjects, files given twice."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ushydra_lab.audit.flags import Finding, Flag, by_site, positions
from ushydra_lab.data import checks
from ushydra_lab.data.vocabulary import CROP, MASK, SITE, SUBJECT

METHOD = (
    "An image of hardly more than one grey value; sites with fewer subjects than a split by subject needs: one to "
    "train and one to validate on."
)
SHARED_METHOD = (
    "A mask file that several images share, as a spreadsheet's fill-down makes; images of one content in several rows "
    "of one subject (of two subjects they are problems), unless they are cropped."
)


def audit(table: pd.DataFrame, blank: NDArray[np.bool_]) -> list[Finding]:
    """blank: rows whose image, which could be read, has hardly more than one grey value."""
    shared = _shared(table, MASK, "is the mask of")
    if not {*CROP.columns} <= {*table}:
        shared += _shared(table, "sha256", "is the content of")
    return [
        Finding("evidence", "Too little to learn from", METHOD, _little(table, blank)),
        Finding("shared_files", "One file in several rows", SHARED_METHOD, shared),
    ]


def _little(table: pd.DataFrame, blank: NDArray[np.bool_]) -> list[Flag]:
    flags = [Flag(f"{checks.place(table, row)}: image shows nothing", (row,)) for row in positions(blank)]
    few = [site for site, rows in by_site(table).items() if table[SUBJECT].iloc[rows].nunique() < 2]
    if few:
        flags.append(Flag(f"site {', '.join(few)}: a single subject, so the site can only be held out, not trained on"))
    if table[[SITE, SUBJECT]].drop_duplicates().shape[0] < 2:
        flags.append(Flag("a single subject in all: there is nothing to validate on"))
    return flags


def _shared(table: pd.DataFrame, column: str, what: str) -> list[Flag]:
    if column not in table:
        return []
    given = table[column].reset_index(drop=True)
    groups = given[(given != "") & given.duplicated(keep=False)].groupby(given).groups.values()
    return [
        Flag(f"one file {what} {len(rows)} rows, from {checks.place(table, int(rows[0]))}", tuple(map(int, rows)))
        for rows in groups
    ]
