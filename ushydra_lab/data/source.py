"""The result of a reader: one row per image, not checked yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ushydra_lab.data.io.mask_codes import AnyCode

Switch = bool | NDArray[np.bool_]
"""Of all rows, or of each."""


@dataclass(frozen=True, eq=False)
class Source:
    """The unchecked table of a reader: one row per image, cells may be text.

    The table's index tells where a row stands: name it "line" for the lines of a file. Relative paths of images and
    masks lie under `root`. masks: how mask files are read, where there are any. partial: rows whose image is not there
    are left out, with their count, as in a public data set of which a part was downloaded, and those whose files cannot
    be used, with the reasons, unless `strict`; else all these are problems.
    remarks: what the reader found that deserves a look, for the check. lacks: columns the data set may have, and which
    files they were to be read from.
    """

    table: pd.DataFrame
    name: str
    root: Path
    masks: AnyCode | None = None
    partial: Switch = False
    strict: Switch = False
    remarks: tuple[str, ...] = ()
    lacks: Mapping[str, str] = field(default_factory=dict)
