"""Audit of images that use little of the 8 or 16 bits of their file, and so are nearly black."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ushydra_lab.audit.flags import Finding, Flag, by_site
from ushydra_lab.data.inspection import DIM, SCALE

METHOD = (
    f"16-bit images without any value of {DIM} or more. 16 bits are read by their full range, 65535 as white, since a "
    "file does not say which of its values is white: 12-bit data, up to 4095, keep 16 of 256 grey levels. Other images "
    f"without any grey value of {DIM // 256} or more, of 255: such are deeper data that were not scaled, also of DICOM "
    "files that say 16 bits and use 12, and label maps given as images."
)


def audit(table: pd.DataFrame, peaks: Sequence[int | None], brightest: np.ndarray) -> Finding:
    """peaks: the largest value of every row's 16-bit image, None of other images; brightest: the largest grey value as
    read, of 255, NaN where there is no image or one that shows nothing.
    """
    highest = np.array([np.nan if peak is None else peak for peak in peaks])
    flags = []
    for site, rows in by_site(table).items():
        dim = rows[highest[rows] < DIM]
        if len(dim):
            many = f"{len(dim)} of {int(np.isfinite(highest[rows]).sum())} images with 16 bits"
            seen = f"have no value above {highest[dim].max():.0f} of 65535, so they are read nearly black"
            flags.append(Flag(f"site {site}: {many} {seen}; {SCALE}", tuple(map(int, dim))))
        dark = rows[np.isnan(highest[rows]) & (brightest[rows] < DIM // 256)]
        if len(dark):
            seen = f"have no grey value above {brightest[dark].max():.0f} of 255, so they are nearly black"
            remedy = "were deeper data stored without scaling, or is it a label map?"
            flags.append(
                Flag(f"site {site}: {len(dark)} of {len(rows)} images {seen}: {remedy}", tuple(map(int, dark)))
            )
    return Finding("grey_range", "Images that are nearly black", METHOD, flags)
