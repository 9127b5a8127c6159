"""Images that use little of the 16 bits of their file, and so become nearly black."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ushydra_lab.audit.flags import Finding, Flag, by_site
from ushydra_lab.data.inspection import DIM, SCALE

METHOD = (
    f"16-bit images without any value of {DIM} or more. 16 bits are read by their full range, 65535 as white, since a "
    "file does not say which of its values is white: 12-bit data, up to 4095, keep 16 of 256 grey levels."
)


def audit(table: pd.DataFrame, peaks: Sequence[int | None]) -> Finding:
    """peaks: the largest value of every row's 16-bit image, None of other images."""
    highest = np.array([np.nan if peak is None else peak for peak in peaks])
    flags = []
    for site, rows in by_site(table).items():
        dim = rows[highest[rows] < DIM]
        if len(dim):
            many = f"{len(dim)} of {int(np.isfinite(highest[rows]).sum())} images with 16 bits"
            seen = f"have no value above {highest[dim].max():.0f} of 65535, so they are read nearly black"
            flags.append(Flag(f"site {site}: {many} {seen}; {SCALE}", tuple(map(int, dim))))
    return Finding("grey_range", "16-bit images that are nearly black", METHOD, flags)
